"""`choose_n_components`: choose the number of components by comparing models on held-out rows.

No single measure is sufficient. The explained energy increases with the number of components, coherence prefers few and
broad topics, and a component that several models agree on can still mix two topics. The table shows all measures; two
of them are combined for the recommendation.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from html import escape
from itertools import combinations
from math import isnan, sqrt
from numbers import Integral
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.metrics.pairwise import cosine_distances, euclidean_distances
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state

from codebooks import ops
from codebooks._mixture_selection import (
    DOUBTFUL,
    choose,
    compute_label_agreement,
    compute_table,
    count_reproducible,
    is_doubtful,
    select_entries,
)
from codebooks._tables import build_frame, format_html_table
from codebooks.errors import short_repr, shorten_errors
from codebooks.interpret.model_access import count_wins, get_components, predict_components, select_top_columns
from codebooks.metrics import N_WORDS, npmi, npmi_scorer, redundancy, topic_diversity
from codebooks.validation.arrays import check_count, check_matrix

__all__ = ["Selection", "choose_n_components"]

# Weight of agreement relative to separation. On planted corpora (3 to 20 topics, even and skewed) 0 to 0.5 find the
# number in 46 of 48 trials, 1 to 2 in 45, agreement alone in 27; on five labelled corpora 0.5 to 1 are closest to the
# labels.
_AGREEMENT = 0.5
_FIRM = 0.7  # agreement above which the reason says "the same labels"
_NO_WORDS = -0.9  # separation below which columns are not words, although they are zero in most rows
_LADDER = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50)  # default candidates
_FEWEST_ROWS = 5  # smallest number of rows for each component of these
_COLUMNS = ("score", "npmi", "separation", "diversity", "redundancy", "idle", "stability", "agreement", "merit")
_MIXTURE_COLUMNS = ("score", "overfit", "used", "repeated", "agreement", "matching", "merit", "broad")


class Selection(NamedTuple):
    """The result of `choose_n_components`: the recommended number, the reason, and a table of all numbers tried.

    Parameters
    ----------
    n_components : int
        The recommended number.
    reason : str
        The reason, in a few sentences.
    table : list of dict
        A row for each number tried, in ascending order, with means over the models: `n_components`; `score`, the score
        of the model on held-out rows (nan if it has none); `npmi` and `diversity` of the ten words of largest weight;
        `separation` of components on held-out rows; `redundancy`, the similarity of the two most similar components;
        `idle`, the number of components without held-out rows; `stability`, the mean cosine of matched components of
        two models; `agreement` of the labels of two models; `merit`, the criterion, and `error`, its standard error.

        For `MultinomialMixture`: `score`, the mean log likelihood of held-out rows by their salient words, above that
        of a single component; `overfit`, the score of the training rows minus `score`; `used`, the number of components
        with rows in each model; `repeated`, the number of components of one model that another model has too;
        `agreement` as above; `matching`, the mean F1 of components of two models matched one to one; `merit` and its
        `error`; `broad`, the criterion for broad components.
    n_broad : int or None
        For `MultinomialMixture`: a number of broad components, at most `n_components`.

    Examples
    --------
    >>> row = {"n_components": 2, "score": 0.5, "merit": 0.8, "error": 0.0}
    >>> print(Selection(2, "Use 2 components.", [row]))
    components  score  merit
             2   .500   .800 <
    <BLANKLINE>
    Use 2 components.
    """

    n_components: int
    reason: str
    table: list[dict[str, Any]]
    n_broad: int | None = None

    def _repr_html_(self) -> str:
        return f"{format_html_table(self._columns())}<p>{escape(self.reason)}</p>"

    def to_frame(self, library: Literal["pandas", "polars"] = "pandas") -> Any:
        """Return the table as a data frame with a row for each number of components tried.

        Parameters
        ----------
        library : {"pandas", "polars"}, default="pandas"
            The library of the data frame, which must be installed.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            The columns of `table`.
        """
        return build_frame(self._columns(), library)

    def _columns(self) -> dict[str, list[Any]]:
        return {name: [row.get(name) for row in self.table] for name in self.table[0]} if self.table else {}

    def __str__(self) -> str:
        columns = _COLUMNS if self.n_broad is None else _MIXTURE_COLUMNS
        names = [name for name in columns if not all(isnan(row.get(name, np.nan)) for row in self.table)]
        lines = [["components", *names]]
        lines += [[str(row["n_components"]), *(_format_value(row[name]) for name in names)] for row in self.table]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        numbers = [row["n_components"] for row in self.table]
        marks = [""] * len(lines)
        for chosen, mark in ((self.n_broad, " < broad"), (self.n_components, " <")):
            if chosen is not None:
                marks[1 + int(np.searchsorted(numbers, chosen))] = mark
        rows = ("  ".join(map(str.rjust, line, widths)) + mark for line, mark in zip(lines, marks, strict=True))
        return "\n".join([*rows, "", self.reason])


def choose_n_components(
    estimator: Any,
    X: Any,
    candidates: Iterable[int] | None = None,
    *,
    n_seeds: int = 3,
    test_size: float = 1 / 3,
    words: bool | None = None,
    random_state: Any = 0,
) -> Selection:
    r"""Recommend a number of components for a learner and data, with a reason and a table of measures.

    For each number, `n_seeds` models are fitted with different seeds on random subsets; a share `test_size` of the rows
    is held out from each. The number with the largest

    .. math:: \mathrm{merit} = \mathrm{separation} + \tfrac12\, \mathrm{agreement}

    is recommended, the smaller of two equal ones. Separation is computed on the held-out rows. For matrices of words it
    is `codebooks.metrics.npmi_scorer`, coherence with a penalty for divided and mixed topics. For other data it is the
    simplified silhouette [1]_, the mean of (b - a) / max(a, b), with a the distance of a row from its component and b
    that from the nearest other component (1 - cosine; Euclidean for cluster centers). Agreement [2]_ is the mutual
    information, adjusted for chance, of the labels that two models assign to all rows.

    For `MultinomialMixture` the merit is

    .. math:: \mathrm{merit} = (\mathrm{score} - \tfrac34\, \mathrm{overfit}) \, \mathrm{agreement},

    with the log likelihood of held-out rows above that of a single component (score) and its excess on training rows
    (overfit). For the smallest number with about the largest merit, the components are counted that occur in two models
    (matched one to one, F1 above 0.2). This count is recommended; it can differ from all numbers tried. `n_broad` is
    the same count for the smallest number with nearly the largest (score - 3/4 overfit) matching, the mean F1 of
    matched components, which is low if models divide components differently. At most 20,000 rows, drawn at random, and
    the 5,000 columns with the most positive entries are used. Models are fitted in at most 12 passes, from one start
    instead of the best of several.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A learner of this package, or any estimator that can be cloned, with a parameter `n_components` or `n_clusters`
        and an attribute `components_` or `cluster_centers_`, such as NMF and KMeans. It is not modified. The steps of a
        Pipeline before the last one are fitted once, on all rows.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        Training data.
    candidates : iterable of int, optional
        The numbers to try, each at least 2; the recommendation is one of them. Default: 2, 3, 4, 5, 6, 8, 10, 13, 16,
        20, 25, 32, 40 and 50, limited to five rows for each component and to the maximum of the estimator (the number
        of features for `OrthogonalSparseCoding` and PCA). Set it if you expect more components, or to save time. For
        `MultinomialMixture`: 2 to 330, each about 1.3 times the previous one, until the merit has fallen or many
        components are empty, limited to eight rows for each component.
    n_seeds : int, default=3
        Number of models for each number of components, at least 2. Increase it for a smaller standard error.
    test_size : float, default=1/3
        Share of rows held out from each model, within (0, 1). Co-occurrence is counted in these rows.
    words : bool, optional
        Whether the columns are words, so that separation is computed from their co-occurrence. Default: True if `X` has
        no negative values and more zeros than other values, unless no component has words that occur together. It is
        not used for `MultinomialMixture`.
    random_state : int, RandomState or None, default=0
        Seed of models and splits. None gives a different result in each call.

    Returns
    -------
    Selection
        `n_components`, `reason`, `table`, and `n_broad` for `MultinomialMixture`. `print` shows all of them.

    Raises
    ------
    TypeError
        The estimator has no parameter for the number of components, or no components after `fit`, or `X` is text and
        the estimator is not a Pipeline.
    ValueError
        `candidates` is empty or has a number below 2; `n_seeds` or `test_size` is out of range; there are fewer than
        four rows; there are negative values with `words=True` or `MultinomialMixture`.

    See Also
    --------
    codebooks.plots.plot_selection : Plot the result.
    codebooks.metrics.npmi_scorer : A score for GridSearchCV, to choose other parameters too.

    Notes
    -----
    The result is a recommendation. If topics have subtopics, several numbers are reasonable. The reason lists those
    within a standard error of the best: read the topics of two or three of them.

    References
    ----------
    .. [1] L. Vendramin, R. Campello, E. Hruschka, "Relative clustering validity criteria: a comparative overview",
       Statistical Analysis and Data Mining 3 (2010), 209-235.
    .. [2] T. Lange, V. Roth, M. Braun, J. Buhmann, "Stability-based validation of clustering solutions", Neural
       Computation 16 (2004), 1299-1323.

    Examples
    --------
    >>> from codebooks import KrotovHopfield, choose_n_components
    >>> from codebooks.datasets import make_planted_corpus
    >>> selection = choose_n_components(KrotovHopfield(), make_planted_corpus(600, 5).X, range(2, 9))
    >>> selection.n_components
    5

    >>> from codebooks import MultinomialMixture
    >>> selection = choose_n_components(MultinomialMixture(), make_planted_corpus(600, 5).X)
    >>> selection.n_components, selection.n_broad
    (5, 5)
    """
    _check_settings(n_seeds, test_size)
    numbers = None if candidates is None else _check_candidates(candidates)
    learner, X = _prepare(estimator, X)
    parameter = _find_parameter(learner)
    seed = _draw_seed(random_state)
    is_mixture = hasattr(learner, "_score_rows")
    if is_mixture:
        X = select_entries(X, seed)
        _require_rows(X.shape[0], "rows that are not all zero")
    splits = list(ShuffleSplit(n_seeds, test_size=test_size, random_state=seed).split(np.empty(X.shape[0])))
    if is_mixture:
        return _choose_for_mixture(compute_table(learner, X, numbers, splits, seed), numbers)
    by_words = _has_word_columns(X, words)

    def compare(by_words: bool) -> list[dict[str, Any]]:
        table: list[dict[str, Any]] = []
        for number in numbers or _make_candidates(len(splits[0][0])):
            try:
                trials = [
                    _run_trial(_clone_with(learner, parameter, number, seed + trial), X, train, test, by_words)
                    for trial, (train, test) in enumerate(splits)
                ]
            except ValueError:
                if numbers is None and table and number > X.shape[1]:
                    break  # a default candidate that exceeds the maximum of the estimator
                raise
            table.append(_summarize(number, trials))
        return table

    table = compare(by_words)
    if by_words and words is None and max(row["separation"] for row in table) < _NO_WORDS:
        by_words, table = False, compare(False)
    best = max(table, key=lambda row: row["merit"])  # the smallest of equal ones
    return Selection(best["n_components"], _explain(best, table, by_words), table)


class _Trial(NamedTuple):
    """Components, labels and measures of one model."""

    components: NDArray[Any]  # (n_components, n_features)
    labels: NDArray[Any]  # (n_samples,) labels of all rows, training and held-out
    measures: dict[str, float]


def _run_trial(model: Any, X: Any, train: NDArray[Any], test: NDArray[Any], words: bool) -> _Trial:
    train, test = np.sort(train), np.sort(test)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=__name__, category=UserWarning)  # the table has the same information
        model.fit(ops.take_rows(X, train))
    held_out, components, labels = ops.take_rows(X, test), get_components(model), predict_components(model, X)
    topics = select_top_columns(components, N_WORDS)
    measures = {
        "score": float(model.score(held_out)) if hasattr(model, "score") else np.nan,
        "npmi": npmi(topics, held_out) if words else np.nan,
        "separation": npmi_scorer(model, held_out) if words else _compute_silhouette(model, held_out, labels[test]),
        "diversity": topic_diversity(topics) if words else np.nan,
        "redundancy": redundancy(components),
        "idle": float((count_wins(labels[test], len(components)) == 0).sum()),
    }
    return _Trial(components, labels, measures)


def _compute_silhouette(model: Any, X: Any, labels: NDArray[Any]) -> float:
    """Compute the mean of (b - a) / max(a, b), a the distance to the own and b to the nearest other component."""
    compute_distances = euclidean_distances if hasattr(model, "cluster_centers_") else cosine_distances
    distances = compute_distances(ops.to_host(X), get_components(model))
    if getattr(model, "signed", False):
        distances = np.minimum(distances, 2 - distances)  # a row can have a negative code
    assigned = labels >= 0  # other rows count 0
    rows, own = np.arange(len(distances))[assigned], labels[assigned]
    a = distances[rows, own]
    distances[rows, own] = np.inf
    b = distances[assigned].min(axis=1, initial=np.inf)
    larger = np.maximum(a, b)
    is_valid = np.isfinite(b) & (larger > 0)
    return float(((b - a)[is_valid] / larger[is_valid]).sum() / max(len(labels), 1))


def _summarize(number: int, trials: list[_Trial]) -> dict[str, Any]:
    """Compute a row of the table: means over models, and over pairs of models."""
    n = len(trials)
    pairs = list(combinations(range(n), 2))
    agreement = np.zeros((n, n))
    for i, j in pairs:
        agreement[i, j] = agreement[j, i] = compute_label_agreement(trials[i].labels, trials[j].labels)
    means = {name: float(np.mean([trial.measures[name] for trial in trials])) for name in trials[0].measures}
    separation = np.array([trial.measures["separation"] for trial in trials])
    merit = separation + _AGREEMENT * agreement.sum(axis=1) / (n - 1)
    return {
        "n_components": number,
        **means,
        "stability": float(np.mean([_compute_stability(trials[i].components, trials[j].components) for i, j in pairs])),
        "agreement": float(agreement.sum() / (n * (n - 1))),
        "merit": float(merit.mean()),
        "error": float(merit.std(ddof=1) / sqrt(n)),
    }


def _compute_stability(components: NDArray[Any], other_components: NDArray[Any]) -> float:
    """Compute the mean absolute cosine of components matched one to one; a component without a match counts 0."""
    cosines = np.abs(1 - cosine_distances(components, other_components))
    return float(cosines[linear_sum_assignment(-cosines)].sum() / max(cosines.shape))


def _choose_for_mixture(table: list[dict[str, Any]], numbers: list[int] | None) -> Selection:
    """Return the result for a mixture from its table, among the candidates if there are any."""
    fine, broad = choose(table)
    counts = [count_reproducible(row) for row in (fine, broad)]
    if numbers is not None:
        counts = [min(number for number in numbers if number >= min(n, numbers[-1])) for n in counts]
    n_components, n_broad = counts[0], min(counts)
    return Selection(n_components, _explain_mixture(n_components, n_broad, fine, broad, table), table, n_broad)


def _explain_mixture(n: int, n_broad: int, fine: dict[str, Any], broad: dict[str, Any], table: Any) -> str:
    """Return the recommendation for a mixture with its reason and doubts."""
    if all(row["used"] < 2 for row in table):
        return f"Use {n} components, the smallest number tried: every model assigns all rows to one component."
    agreement = _format_value(fine["agreement"])
    if is_doubtful(fine):
        return (
            f"Use {n} components, but the data do not support any number: models fitted on different rows give hardly "
            f"the same labels (agreement {agreement}), or no component describes held-out rows. There may be no "
            f"groups, or too few rows."
        )
    similarity = "the same" if fine["agreement"] >= _FIRM else "partly the same"
    sentences = [
        f"Use {n} components, or {n_broad} broad ones." if n_broad < n else f"Use {n} components.",
        f"Models of {fine['n_components']} components describe held-out rows and agree best: fitted on different rows, "
        f"they give {similarity} labels (agreement {agreement}), and {fine['repeated']} components of one model occur "
        f"in another.",
    ]
    if n_broad < n:
        sentences.append(
            f"Models of {broad['n_components']} components match one to one about as well as larger models "
            f"(matching {_format_value(broad['matching'])})."
        )
    near = _find_equivalent(fine, table)
    if near:
        sentences.append(f"About as good as {fine['n_components']}: {near}; read their topics too.")
    if fine is table[-1] and len(table) > 1 and n == fine["n_components"]:
        sentences.append("It is the largest number tried: try larger ones.")
    return " ".join(sentences)


def _find_equivalent(best: dict[str, Any], table: list[dict[str, Any]]) -> str:
    """Return the numbers within a standard error of the best, joined by commas."""
    lowest = best["merit"] - best["error"]
    return ", ".join(
        str(row["n_components"]) for row in table if row is not best and row["merit"] + row["error"] >= lowest
    )


def _explain(best: dict[str, Any], table: list[dict[str, Any]], words: bool) -> str:
    """Return the recommendation with its reason and doubts."""
    separation, agreement = best["separation"], best["agreement"]
    if words:
        meaning = (
            "the words of a component occur together, and less often with those of the nearest other component"
            if separation > 0
            else "the words of a component occur together no more often than with those of the nearest other "
            "component, or many components have no rows"
        )
    else:
        meaning = (
            "rows are nearer to their component than to the next one"
            if separation > 0
            else "rows are no nearer to their component than to the next one"
        )
    similar = "the same" if agreement >= _FIRM else "partly the same" if agreement >= DOUBTFUL else "hardly the same"
    sentences = [
        f"Use {best['n_components']} components.",
        f"Separation {_format_value(separation)}: {meaning}.",
        f"Agreement {_format_value(agreement)}: models fitted on different rows give {similar} labels.",
    ]
    near = _find_equivalent(best, table)
    if near:
        sentences.append(f"About as good: {near}{'; read their topics too' if words else ''}.")
    if agreement < DOUBTFUL or separation <= 0:
        measure = "agreement" if agreement < DOUBTFUL else "separation"
        sentences.append(f"But the {measure} does not support any number: there may be no groups, or too few rows.")
    elif best is table[-1] and len(table) > 1:
        sentences.append("It is the largest number tried: try larger ones.")
    elif best is table[0] and best["n_components"] > 2 and len(table) > 1:
        sentences.append("It is the smallest number tried: try smaller ones.")
    return " ".join(sentences)


def _format_value(value: float) -> str:
    if isinstance(value, Integral):
        return str(value)
    if isnan(value):
        return "-"
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


# -- validation ------------------------------------------------------------------------------------------------------


def _check_candidates(candidates: Iterable[int]) -> list[int]:
    numbers = list(candidates) if isinstance(candidates, Iterable) else []
    if not numbers or not all(_is_number(number) for number in numbers):
        raise ValueError(
            f"`candidates` must be integers >= 2, got {short_repr(candidates)}. "
            f"Use range(2, 31), or None for the default."
        )
    return sorted({int(number) for number in numbers})


def _is_number(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool) and int(number) >= 2


def _make_candidates(n_rows: int) -> list[int]:
    """Return the default candidates for a number of training rows."""
    return [number for number in _LADDER if number <= max(2, n_rows // _FEWEST_ROWS)]


def _check_settings(n_seeds: int, test_size: float) -> None:
    check_count("n_seeds", n_seeds, least=2)  # models are compared with each other
    if not 0 < test_size < 1:
        raise ValueError(
            f"`test_size` must be a number between 0 and 1, got {short_repr(test_size)}. The default is 1 / 3."
        )


def _draw_seed(random_state: Any) -> int:
    """Return the first seed: `random_state` itself if it is an integer, else a random number."""
    if isinstance(random_state, Integral):
        return int(random_state)
    with shorten_errors():
        return int(check_random_state(random_state).randint(2**31))


def _prepare(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the learner and its validated input matrix."""
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = clone(estimator[:-1]).fit_transform(X)
        estimator = estimator[-1]
    X = check_matrix(type(estimator).__name__, X)
    if not ops.entries(X).any():
        raise ValueError(
            f"choose_n_components expected rows with values other than 0, got a matrix of shape {X.shape} that "
            f"contains only zeros. Check the previous step: a vectorizer may have removed all terms (min_df, "
            "stop_words)."
        )
    _require_rows(X.shape[0])
    return estimator, X


def _require_rows(n_rows: int, kind: str = "rows") -> None:
    if n_rows < 4:
        raise ValueError(
            f"choose_n_components expected at least four {kind}, for training and for validation, got {n_rows}. Use "
            f"more data."
        )


def _find_parameter(learner: Any) -> str:
    """Return the name of the parameter for the number of components."""
    parameters = learner.get_params(deep=False) if hasattr(learner, "get_params") else {}
    for name in ("n_components", "n_clusters"):
        if name in parameters:
            return name
    raise TypeError(
        f"`estimator` must have a parameter n_components or n_clusters, got {type(learner).__name__}. Use a learner of "
        f"codebooks, or NMF or KMeans of scikit-learn."
    )


def _clone_with(learner: Any, parameter: str, number: int, seed: int) -> Any:
    settings = {parameter: number}
    if "random_state" in learner.get_params(deep=False):
        settings["random_state"] = seed
    return clone(learner).set_params(**settings)


def _has_word_columns(X: Any, words: bool | None) -> bool:
    """Return `words`; if it is None, whether no value is negative and most are zero."""
    values = ops.to_host(ops.entries(X))
    signed = bool((values < 0).any())
    if words and signed:
        raise ValueError(
            "choose_n_components(words=True) expected counts or term weights >= 0, got negative values. Use words=None."
        )
    return bool((values > 0).sum() < 0.5 * X.shape[0] * X.shape[1] and not signed) if words is None else words
