"""How many units? Models of every number wanted, compared on rows that they have not seen.

No single measure says it. The explained energy rises with every unit; coherence alone likes few and broad topics; and
what is learned twice alike may still be two topics in one unit. Each is shown, two of them decide.
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
    compute_agreement,
    count_found,
    is_doubtful,
    select_rows,
    tabulate,
)
from codebooks._tables import build_frame, format_html_table
from codebooks.errors import short_repr, shorten_errors
from codebooks.interpret.model_access import count_wins, get_components, predict_components, select_top_columns
from codebooks.metrics import N_WORDS, npmi, npmi_scorer, redundancy, topic_diversity
from codebooks.validation.arrays import check_count, check_matrix

__all__ = ["Selection", "choose_n_components"]

# What agreement weighs beside separation. On planted corpora (3 to 20 topics, even and skewed) 0 to 0.5 find the number
# in 46 of 48 trials, 1 to 2 in 45, agreement alone in 27; on five labelled ones 0.5 to 1 come nearest to the labels.
_AGREEMENT = 0.5
_FIRM = 0.7  # agreement from which models are said to agree
_NO_WORDS = -0.9  # separation below which columns are no words, although they are zero in most rows
_LADDER = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50)  # numbers tried where none are given
_FEWEST_ROWS = 5  # for each component of these
_COLUMNS = ("score", "npmi", "separation", "diversity", "redundancy", "idle", "stability", "agreement", "merit")
_MIXTURE_COLUMNS = ("score", "overfit", "used", "repeated", "agreement", "matching", "merit", "broad")


class Selection(NamedTuple):
    """What was found for each number of units, and which one to take.

    Parameters
    ----------
    n_components : int
        The number recommended.
    reason : str
        Why, in a sentence or two.
    table : list of dict
        A row for each number tried, in rising order, with the means over the models: `n_components`; `score`, the
        model's own on held-out rows (nan without one); `npmi` and `diversity` of the ten strongest words by weight;
        `separation`, how far units stand apart; `redundancy`, how alike the two most alike units are; `idle`, units
        that win no held-out row; `stability`, the mean cosine of matched units of two models; `agreement`, how far two
        models put the same rows together; `merit`, what the numbers are chosen by, and `error`, its standard error.

        For `MultinomialMixture`: `score`, the mean log likelihood of held-out rows by their salient words, above that
        of a single component; `overfit`, by how much that of the other rows is larger; `used`, components that win
        rows in each model; `repeated`, those of one model that another one has, too; `agreement` as above;
        `matching`, the mean F1 of components of two models matched one to one; `merit` and its `error`; `broad`, what
        the number of broad components is chosen by.
    n_broad : int or None
        For `MultinomialMixture`: a number of broad components, at most `n_components`.

    Examples
    --------
    >>> row = {"n_components": 2, "score": 0.5, "merit": 0.8, "error": 0.0}
    >>> print(Selection(2, "Take 2 units.", [row]))
    units  score  merit
        2   .500   .800 <
    <BLANKLINE>
    Take 2 units.
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
        lines = [["units", *names]]
        lines += [[str(row["n_components"]), *(_format_value(row[name]) for name in names)] for row in self.table]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        wanted = [row["n_components"] for row in self.table]
        marks = [""] * len(lines)
        for chosen, mark in ((self.n_broad, " < broad"), (self.n_components, " <")):
            if chosen is not None:
                marks[1 + int(np.searchsorted(wanted, chosen))] = mark
        written = ("  ".join(map(str.rjust, line, widths)) + mark for line, mark in zip(lines, marks, strict=True))
        return "\n".join([*written, "", self.reason])


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
    r"""Say how many units a learner should have for these rows, and show what speaks for each number.

    For each number, `n_seeds` models are fitted, each with a seed of its own and on rows drawn at random, a share
    `test_size` being held out from each. The number with the largest

    .. math:: \mathrm{merit} = \mathrm{separation} + \tfrac12\, \mathrm{agreement}

    is recommended; where two are equal, the smaller. Separation asks whether units are about different things, on the
    rows held out: for matrices of words it is `codebooks.metrics.npmi_scorer`, coherence that neither splits nor skips
    topics; for others the simplified silhouette [1]_, the mean of (b - a) / max(a, b), with a the distance of a row
    from the unit that wins it and b that from the nearest other one (1 less the cosine; Euclidean for centres).
    Agreement asks whether other rows teach the same [2]_: the mutual information of the labels that two models give to
    all rows, adjusted for chance.

    For `MultinomialMixture` the merit is

    .. math:: \mathrm{merit} = (\mathrm{score} - \tfrac34\, \mathrm{overfit})
        \sqrt{\mathrm{agreement} \cdot \mathrm{matching}},

    with the log likelihood of unseen rows above that of a single component (score), what it is larger by on the rows
    learned from (overfit), and the mean F1 of components of two models matched one to one (matching). Of the models of
    the smallest number with about the largest merit, the components are counted that another model has, too, which
    is one with an F1 above 0.4: this count is recommended, and it may lie between the numbers tried. `n_broad`
    is the same count for the smallest number with nearly the largest (score - 3/4 overfit) matching, which is stricter
    with components that models divide differently. At most 20,000 rows are used, drawn at random, and models are fitted
    in at most 12 passes from one start instead of the best of several.

    Parameters
    ----------
    estimator : estimator or Pipeline
        One of our learners, or any that can be cloned, has the parameter `n_components` or `n_clusters` and learns
        `components_` or `cluster_centers_`: NMF, KMeans. It is not changed. The steps of a Pipeline before the last
        one are fitted once, on all rows.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        What to learn from.
    candidates : iterable of int, optional
        The numbers to try, each at least 2; the answer is one of them. Default: 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25,
        32, 40 and 50, as far as five rows are left for each component, and as far as the estimator has as many:
        `OrthogonalSparseCoding` and PCA have one for each feature at most. Give your own if you expect more, or to save
        time. For `MultinomialMixture`: 2 to 330, each about 1.3 times the one before, until the merit has fallen or
        many components remain empty, as far as eight rows are left for each component.
    n_seeds : int, default=3
        Models for each number, at least 2.
    test_size : float, default=1/3
        Share of rows held out from each model, within (0, 1). Co-occurrence is counted on these.
    words : bool, optional
        Whether the columns are words, so that separation is judged by their co-occurrence. Default: yes, if `X` has no
        value below zero and more zeros than others, unless no component has words that occur together. It is not used
        for `MultinomialMixture`.
    random_state : int, RandomState or None, default=0
        Seed of everything drawn. None gives another answer each time.

    Returns
    -------
    Selection
        `n_components`, `reason`, `table`, and `n_broad` for `MultinomialMixture`; printed, all of it.

    Raises
    ------
    TypeError
        The estimator has no parameter for the number of units, or learns no codebook, or `X` is text and has no
        Pipeline to read it.
    ValueError
        `candidates` is empty or has a number below 2; `n_seeds` or `test_size` are out of bounds; there are fewer than
        four rows; values below zero and `words=True` or `MultinomialMixture`.

    Notes
    -----
    It is a recommendation. Where topics lie inside topics, several numbers are right, and those within a standard error
    of the best are named: read the topics of two or three of them.

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
    >>> found = choose_n_components(KrotovHopfield(), make_planted_corpus(600, 5).X, range(2, 9))
    >>> found.n_components
    5

    >>> from codebooks import MultinomialMixture
    >>> found = choose_n_components(MultinomialMixture(), make_planted_corpus(600, 5).X)
    >>> found.n_components, found.n_broad
    (5, 5)
    """
    _check_settings(n_seeds, test_size)
    numbers = None if candidates is None else _check_candidates(candidates)
    learner, X = _prepare(estimator, X)
    parameter = _find_parameter(learner)
    seed = _draw_seed(random_state)
    is_mixture = hasattr(learner, "_score_rows")
    if is_mixture:
        X = select_rows(X, seed)
        _require_rows(X.shape[0], "rows that are not all zero")
    splits = list(ShuffleSplit(n_seeds, test_size=test_size, random_state=seed).split(np.empty(X.shape[0])))
    if is_mixture:
        return _choose_for_mixture(tabulate(learner, X, numbers, splits, seed), numbers)
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
                    break  # nobody asked for more components than features, and this estimator has no more
                raise
            table.append(_summarize(number, trials))
        return table

    table = compare(by_words)
    if by_words and words is None and max(row["separation"] for row in table) < _NO_WORDS:
        by_words, table = False, compare(False)
    best = max(table, key=lambda row: row["merit"])  # the first of equals
    return Selection(best["n_components"], _explain(best, table, by_words), table)


class _Trial(NamedTuple):
    """One model and what it shows."""

    units: NDArray[Any]  # (n_components, n_features)
    labels: NDArray[Any]  # (n_samples,) winners of all rows, also of those that it learned from
    measures: dict[str, float]


def _run_trial(model: Any, X: Any, train: NDArray[Any], test: NDArray[Any], words: bool) -> _Trial:
    train, test = np.sort(train), np.sort(test)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=__name__, category=UserWarning)  # the table says the same
        model.fit(ops.take_rows(X, train))
    unseen, units, labels = ops.take_rows(X, test), get_components(model), predict_components(model, X)
    lists = select_top_columns(units, N_WORDS)
    measures = {
        "score": float(model.score(unseen)) if hasattr(model, "score") else np.nan,
        "npmi": npmi(lists, unseen) if words else np.nan,
        "separation": npmi_scorer(model, unseen) if words else _compute_silhouette(model, unseen, labels[test]),
        "diversity": topic_diversity(lists) if words else np.nan,
        "redundancy": redundancy(units),
        "idle": float((count_wins(labels[test], len(units)) == 0).sum()),
    }
    return _Trial(units, labels, measures)


def _compute_silhouette(model: Any, X: Any, labels: NDArray[Any]) -> float:
    """Mean of (b - a) / max(a, b) over rows, a the distance from the own unit and b from the nearest other one."""
    distance = euclidean_distances if hasattr(model, "cluster_centers_") else cosine_distances
    away = distance(ops.to_host(X), get_components(model))
    if getattr(model, "signed", False):
        away = np.minimum(away, 2 - away)  # a row may lie at either end of a unit
    won = labels >= 0  # others lie between all units, and count 0
    rows, own = np.arange(len(away))[won], labels[won]
    a = away[rows, own]
    away[rows, own] = np.inf
    b = away[won].min(axis=1, initial=np.inf)
    larger = np.maximum(a, b)
    inside = np.isfinite(b) & (larger > 0)
    return float(((b - a)[inside] / larger[inside]).sum() / max(len(labels), 1))


def _summarize(number: int, trials: list[_Trial]) -> dict[str, Any]:
    """One row of the table: means over models, and over pairs of models."""
    n = len(trials)
    pairs = list(combinations(range(n), 2))
    agreement = np.zeros((n, n))
    for one, two in pairs:
        agreement[one, two] = agreement[two, one] = compute_agreement(trials[one].labels, trials[two].labels)
    means = {name: float(np.mean([trial.measures[name] for trial in trials])) for name in trials[0].measures}
    separation = np.array([trial.measures["separation"] for trial in trials])
    merit = separation + _AGREEMENT * agreement.sum(axis=1) / (n - 1)
    return {
        "n_components": number,
        **means,
        "stability": float(np.mean([_compute_stability(trials[one].units, trials[two].units) for one, two in pairs])),
        "agreement": float(agreement.sum() / (n * (n - 1))),
        "merit": float(merit.mean()),
        "error": float(merit.std(ddof=1) / sqrt(n)),
    }


def _compute_stability(some: NDArray[Any], others: NDArray[Any]) -> float:
    """Mean cosine of units matched one to one, signs dropped; a unit without a match counts 0."""
    cosines = np.abs(1 - cosine_distances(some, others))
    return float(cosines[linear_sum_assignment(-cosines)].sum() / max(cosines.shape))


def _choose_for_mixture(table: list[dict[str, Any]], numbers: list[int] | None) -> Selection:
    """Select from the table of a mixture, among the given numbers if there are any."""
    fine, broad = choose(table)
    found = [count_found(row) for row in (fine, broad)]
    if numbers is not None:
        found = [min(number for number in numbers if number >= min(n, numbers[-1])) for n in found]
    n_components, n_broad = found[0], min(found)
    return Selection(n_components, _explain_mixture(n_components, n_broad, fine, broad, table), table, n_broad)


def _explain_mixture(n: int, n_broad: int, fine: dict[str, Any], broad: dict[str, Any], table: Any) -> str:
    """What to do, why, and what to doubt."""
    if all(row["used"] < 2 for row in table):
        return f"Take {n} components, the fewest that are tried: every model puts all rows into one."
    agreement = _format_value(fine["agreement"])
    if is_doubtful(fine):
        return (
            f"Take {n} components, but nothing speaks for any number: models fitted on different rows give hardly the "
            f"same labels (agreement {agreement}), or no component describes rows that its model has not seen. There "
            f"may be no groups to find, or too few rows."
        )
    alike = "the same" if fine["agreement"] >= _FIRM else "partly the same"
    said = [
        f"Take {n} components, or {n_broad} broad ones." if n_broad < n else f"Take {n} components.",
        f"Models of {fine['n_components']} components describe unseen rows and agree best: fitted on different rows, "
        f"they give {alike} labels (agreement {agreement}), and {fine['repeated']} components of one are found again "
        f"in another.",
    ]
    if n_broad < n:
        said.append(
            f"Models of {broad['n_components']} components match one to one about as well as any of more "
            f"(matching {_format_value(broad['matching'])})."
        )
    near = _find_equivalent(fine, table)
    if near:
        said.append(f"About as good as {fine['n_components']}: {near}; read their topics too.")
    if fine is table[-1] and len(table) > 1 and n == fine["n_components"]:
        said.append("It is the largest number tried: try larger ones.")
    return " ".join(said)


def _find_equivalent(best: dict[str, Any], table: list[dict[str, Any]]) -> str:
    """The numbers within a standard error of the best."""
    lowest = best["merit"] - best["error"]
    return ", ".join(
        str(row["n_components"]) for row in table if row is not best and row["merit"] + row["error"] >= lowest
    )


def _explain(best: dict[str, Any], table: list[dict[str, Any]], words: bool) -> str:
    """What to do, why, and what to doubt."""
    separation, agreement = best["separation"], best["agreement"]
    if words:
        apart = (
            "the strongest words of a component occur together, and less often with those of the nearest other one"
            if separation > 0
            else "the strongest words of a component occur together no more often than with those of the nearest other "
            "one, or many components have no rows of their own"
        )
    else:
        apart = (
            "rows lie nearer to their component than to the next one"
            if separation > 0
            else "rows lie no nearer to their component than to the next one"
        )
    alike = "the same" if agreement >= _FIRM else "partly the same" if agreement >= DOUBTFUL else "hardly the same"
    said = [
        f"Take {best['n_components']} components.",
        f"Separation {_format_value(separation)}: {apart}.",
        f"Agreement {_format_value(agreement)}: models fitted on different rows give {alike} labels.",
    ]
    near = _find_equivalent(best, table)
    if near:
        said.append(f"About as good: {near}{'; read their topics too' if words else ''}.")
    if agreement < DOUBTFUL or separation <= 0:
        measure = "agreement" if agreement < DOUBTFUL else "separation"
        said.append(f"But the {measure} speaks for no number: there may be no groups to find, or too few rows.")
    elif best is table[-1] and len(table) > 1:
        said.append("It is the largest number tried: try larger ones.")
    elif best is table[0] and best["n_components"] > 2 and len(table) > 1:
        said.append("It is the smallest number tried: try smaller ones.")
    return " ".join(said)


def _format_value(value: float) -> str:
    if isinstance(value, Integral):
        return str(value)
    if isnan(value):
        return "-"
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


# -- what comes in ---------------------------------------------------------------------------------------------------


def _check_candidates(candidates: Iterable[int]) -> list[int]:
    numbers = list(candidates) if isinstance(candidates, Iterable) else []
    if not numbers or not all(_is_number(number) for number in numbers):
        raise ValueError(
            f"`candidates` must be whole numbers of components, each at least 2, got {short_repr(candidates)}. "
            f"Try range(2, 31), or leave it out."
        )
    return sorted({int(number) for number in numbers})


def _is_number(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool) and int(number) >= 2


def _make_candidates(n_rows: int) -> list[int]:
    """The numbers to try where none are given, for so many rows to learn from."""
    return [number for number in _LADDER if number <= max(2, n_rows // _FEWEST_ROWS)]


def _check_settings(n_seeds: int, test_size: float) -> None:
    check_count("n_seeds", n_seeds, least=2)  # models are compared with each other
    if not 0 < test_size < 1:
        raise ValueError(
            f"test_size, the share of rows held out, must lie within (0, 1); {short_repr(test_size)} came."
        )


def _draw_seed(random_state: Any) -> int:
    """Where to count seeds from: the number given, else one that is drawn."""
    if isinstance(random_state, Integral):
        return int(random_state)
    with shorten_errors():
        return int(check_random_state(random_state).randint(2**31))


def _prepare(estimator: Any, X: Any) -> tuple[Any, Any]:
    """The learner, and the matrix that it learns from."""
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = clone(estimator[:-1]).fit_transform(X)
        estimator = estimator[-1]
    X = check_matrix(type(estimator).__name__, X)
    if not ops.entries(X).any():
        raise ValueError(
            f"choose_n_components expected rows with values other than 0, got a matrix of shape {X.shape} that holds "
            f"nothing but zeros. Look at the step before: a vectorizer may have dropped all terms (min_df, stop_words)."
        )
    _require_rows(X.shape[0])
    return estimator, X


def _require_rows(n_rows: int, kind: str = "rows") -> None:
    if n_rows < 4:
        raise ValueError(
            f"choose_n_components expected at least four {kind}, to learn from some and judge by others, got {n_rows}. "
            f"Give more data."
        )


def _find_parameter(learner: Any) -> str:
    """What the learner calls the number of its units."""
    known = learner.get_params(deep=False) if hasattr(learner, "get_params") else {}
    for name in ("n_components", "n_clusters"):
        if name in known:
            return name
    raise TypeError(
        f"an estimator with the parameter n_components or n_clusters is wanted; {type(learner).__name__} has neither. "
        "Give one of codebooks' learners, or scikit-learn's NMF or KMeans."
    )


def _clone_with(learner: Any, parameter: str, number: int, seed: int) -> Any:
    settings = {parameter: number}
    if "random_state" in learner.get_params(deep=False):
        settings["random_state"] = seed
    return clone(learner).set_params(**settings)


def _has_word_columns(X: Any, words: bool | None) -> bool:
    """Whether the columns are judged as words: as told, or if no value is below zero and most are zero."""
    values = ops.to_host(ops.entries(X))
    signed = bool((values < 0).any())
    if words and signed:
        raise ValueError("words=True wants counts or tf-idf, never below zero; X has negative values. Leave words out.")
    return bool((values > 0).sum() < 0.5 * X.shape[0] * X.shape[1] and not signed) if words is None else words
