"""The number of units recommended, against planted numbers and sums done another way."""

import re
from functools import partial
from itertools import permutations

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import NMF, PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline

from codebooks import (
    InhibitedMixture,
    KrotovHopfield,
    MultinomialMixture,
    OrthogonalSparseCoding,
    _mixture_selection,
    choose_n_components,
)
from codebooks.datasets import make_planted_corpus
from codebooks.interpret.model_access import select_top_columns
from codebooks.metrics import npmi, npmi_scorer, redundancy, topic_diversity
from codebooks.plots import plot_selection
from codebooks.selection import Selection, _compute_silhouette, _explain

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def planted(n_topics, balance=1.0, seed=0, n=600):
    X = make_planted_corpus(n, n_topics, balance=balance, random_state=seed).X
    return TfidfTransformer(sublinear_tf=True).fit_transform(X)


def blobs(n_groups, seed=0, n=400):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_groups, 30))[np.arange(n) % n_groups] + 0.5 * rng.standard_normal((n, 30))


class Frozen(BaseEstimator):
    """It has the first rows of the identity for units, whatever it is shown."""

    def __init__(self, n_components=2, n_features=6):
        self.n_components, self.n_features = n_components, n_features

    def fit(self, X, y=None):
        self.components_ = np.eye(self.n_components, self.n_features)
        return self

    def predict(self, X):
        return np.asarray(X @ self.components_.T).argmax(axis=1)


@pytest.mark.many_fits
@pytest.mark.parametrize(("n_topics", "balance"), [(3, 0.5), (5, 1.0), (10, 0.85)])
def test_planted_number_is_found(n_topics, balance):
    numbers = [n_topics - 1, n_topics, n_topics + 1, 2, 6, 14]
    found = choose_n_components(KrotovHopfield(), planted(n_topics, balance, n=800), numbers)
    assert found.n_components == n_topics
    assert found.reason.startswith(f"Use {n_topics} components. Separation .")
    assert "words of a component occur together, and less often with" in found.reason


@pytest.mark.many_fits
@pytest.mark.parametrize(
    ("n_topics", "settings"),
    [(3, {}), (7, {"length": 100}), (10, {"length": 6, "n_documents": 2000}), (30, {"n_documents": 1500})],
)
def test_mixture_finds_the_planted_number_exactly(n_topics, settings):
    X = make_planted_corpus(**{"n_documents": 900, "n_topics": n_topics, **settings}).X
    found = choose_n_components(MultinomialMixture(), X)
    assert (found.n_components, found.n_broad) == (n_topics, n_topics)
    assert found.reason.startswith(f"Use {n_topics} components. Models of ")
    assert plot_selection(found).get_title(loc="left") == f"{n_topics} components"
    assert "matching" in str(found)


def test_mixture_criteria_equal_their_definitions():
    rows = choose_n_components(MultinomialMixture(), planted(6, n=400), [4, 6, 9], n_seeds=2).table
    for row in rows:
        evidence = row["score"] - 0.75 * row["overfit"]
        assert row["merit"] == pytest.approx(evidence * row["agreement"])
        assert row["broad"] == pytest.approx(evidence * row["matching"])


def test_mixture_leaves_out_rare_columns(monkeypatch):
    X = planted(4, n=300)
    rare = sparse.random(300, 200, density=0.004, format="csr", dtype=X.dtype, random_state=0)
    monkeypatch.setattr(_mixture_selection, "_MOST_COLUMNS", X.shape[1])
    wide = np.hstack([rare.toarray(), X.toarray()])
    expected, *found = (
        choose_n_components(MultinomialMixture(), rows, [3, 4]) for rows in (X, wide, sparse.csr_matrix(wide))
    )
    assert found == [expected, expected]


@pytest.mark.many_fits
def test_mixture_warns_of_shuffled_words():
    X = make_planted_corpus(1000, 5).X
    X.indices = np.random.default_rng(0).permutation(X.indices)
    X.sum_duplicates()
    found = choose_n_components(MultinomialMixture(), X)
    assert found.n_components == found.n_broad == 2
    assert "do not support any number" in found.reason
    assert found == choose_n_components(MultinomialMixture(), X)


@pytest.mark.parametrize("learner", [NMF(init="nndsvda"), KMeans(n_init=2)], ids=["NMF", "KMeans"])
def test_estimators_of_scikit_learn(learner):
    before = learner.get_params()
    found = choose_n_components(learner, planted(5, n=300), [3, 5, 8])
    assert found.n_components == 5
    assert learner.get_params() == before
    assert not hasattr(learner, "components_")
    scores = [row["score"] for row in found.table]
    assert np.isnan(scores).all() if isinstance(learner, NMF) else np.isfinite(scores).all()


@pytest.mark.parametrize("learner", [KrotovHopfield(), KMeans(n_init=2)], ids=["ours", "KMeans"])
@pytest.mark.parametrize("n_groups", [4, 7])
def test_signed_data_use_the_silhouette(learner, n_groups):
    found = choose_n_components(learner, blobs(n_groups), [2, 4, 5, 7, 9])
    assert found.n_components == n_groups
    assert "rows are nearer to their component" in found.reason
    assert "words" not in found.reason
    assert np.isnan([[row["npmi"], row["diversity"]] for row in found.table]).all()
    assert "npmi" not in str(found)


def test_columns_equal_their_definitions():
    X = planted(4)
    learner = KrotovHopfield(inhibition=None)
    (row,) = choose_n_components(learner, X, [5], n_seeds=2, test_size=0.4, random_state=7).table
    models, unseen = [], []
    for seed, (train, test) in enumerate(ShuffleSplit(2, test_size=0.4, random_state=7).split(X)):
        models.append(KrotovHopfield(5, inhibition=None, random_state=7 + seed).fit(X[np.sort(train)]))
        unseen.append(X[np.sort(test)])
    lists = [select_top_columns(model.components_, 10) for model in models]
    pairs = list(zip(models, unseen, strict=True))
    agreement = adjusted_mutual_info_score(models[0].predict(X), models[1].predict(X))
    W, V = (model.components_ / np.linalg.norm(model.components_, axis=1, keepdims=True) for model in models)
    separation = [npmi_scorer(model, held_out) for model, held_out in pairs]
    merit = np.array(separation) + agreement / 2
    expected = {
        "n_components": 5,
        "score": np.mean([model.score(held_out) for model, held_out in pairs]),
        "npmi": np.mean([npmi(words, held_out) for words, held_out in zip(lists, unseen, strict=True)]),
        "separation": np.mean(separation),
        "diversity": np.mean([topic_diversity(words) for words in lists]),
        "redundancy": np.mean([redundancy(model.components_) for model in models]),
        "idle": np.mean([(np.bincount(model.predict(rows), minlength=5) == 0).sum() for model, rows in pairs]),
        "stability": max(np.abs((W * V[list(order)]).sum(axis=1)).mean() for order in permutations(range(5))),
        "agreement": agreement,
        "merit": merit.mean(),
        "error": abs(merit[0] - merit[1]) / 2,
    }
    assert list(row) == list(expected)
    np.testing.assert_allclose(list(row.values()), list(expected.values()), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_silhouette_equals_slow_loops(metric):
    X = blobs(3, n=40)
    model = KMeans(4, n_init=1, random_state=0).fit(X) if metric == "euclidean" else KrotovHopfield(4).fit(X)
    units = model.cluster_centers_ if metric == "euclidean" else model.components_
    labels = model.predict(X)
    labels[:3] = -1
    values = []
    for x, label in zip(X, labels, strict=True):
        if metric == "euclidean":
            away = [np.linalg.norm(x - w) for w in units]
        else:
            away = [1 - x @ w / np.linalg.norm(x) / np.linalg.norm(w) for w in units]
        a = away.pop(label)
        values.append((min(away) - a) / max(min(away), a) if label >= 0 else 0)
    assert _compute_silhouette(model, X, labels) == pytest.approx(np.mean(values), rel=1e-5)


def test_pipeline_steps_are_fitted_once():
    fits = []

    class Counted(TfidfVectorizer):
        def fit_transform(self, documents, y=None):
            fits.append(len(documents))
            return super().fit_transform(documents, y)

    corpus = make_planted_corpus(300, 4, random_state=0)
    words = np.asarray(corpus.terms)
    documents = [" ".join(np.repeat(words[row.indices], row.data.astype(int))) for row in corpus.X]
    pipeline = make_pipeline(Counted(sublinear_tf=True), KrotovHopfield())
    assert choose_n_components(pipeline, documents, [2, 3, 4, 5]).n_components == 4
    assert fits == [300]
    assert not hasattr(pipeline[0], "vocabulary_")
    assert choose_n_components(make_pipeline(KrotovHopfield()), planted(4), [2, 3, 4, 5]).n_components == 4


def test_same_seed_gives_the_same_result_for_all_formats():
    X = planted(4, n=300).astype(np.float64)
    one, two, other = (
        choose_n_components(KrotovHopfield(), rows, [3, 4], random_state=seed)
        for rows, seed in [(X, 3), (sparse.csc_matrix(X), 3), (X, 4)]
    )
    assert one == two
    assert one != other
    dense = choose_n_components(KrotovHopfield(), X.toarray(), [4, 3, 4], random_state=3)
    for row, same in zip(one.table, dense.table, strict=True):
        np.testing.assert_allclose(list(row.values()), list(same.values()), atol=1e-6)


def test_components_without_rows_are_counted():
    X = np.eye(6)[np.arange(60) % 3]
    found = choose_n_components(Frozen(), X, [2, 3, 6])
    assert [row["idle"] for row in found.table] == [0, 0, 3]


def test_learner_that_removes_components():
    found = choose_n_components(KrotovHopfield(prune=True), planted(4), [2, 4, 12])
    assert found.table[2]["agreement"] == pytest.approx(found.table[1]["agreement"], abs=0.05)


def test_agreement_of_single_label_models_is_zero():
    X = np.hstack([np.ones((40, 1)), np.eye(40, 5)])
    found = choose_n_components(Frozen(n_features=6), X, [2])  # all rows go to the first unit, in each model
    assert found.table[0]["agreement"] == 0


def row(number, merit, error=0.0, agreement=0.9, separation=0.5):
    return {"n_components": number, "merit": merit, "error": error, "separation": separation, "agreement": agreement}


@pytest.mark.parametrize(
    ("table", "said", "unsaid"),
    [
        ([row(2, 0.1), row(3, 0.9), row(4, 0.8)], "Separation .500", "good: |number tried|But"),
        ([row(2, 0.85, 0.03), row(3, 0.9, 0.02), row(4, 0.8)], "About as good: 2;", "4"),
        ([row(2, 0.1), row(3, 0.9)], "the largest number tried: try larger", "smallest"),
        ([row(5, 0.9), row(6, 0.1)], "the smallest number tried: try smaller", "largest"),
        ([row(2, 0.9), row(3, 0.1)], "Use 2 components", "smallest|largest"),
        ([row(2, 0.1), row(3, 0.9, agreement=0.2), row(4, 0.1)], "hardly the same labels", "number tried"),
        ([row(2, 0.1), row(3, 0.9, agreement=0.5)], "partly the same labels", "But"),
        ([row(2, 0.1), row(3, 0.9)], "different rows give the same labels", "But"),
        (
            [row(2, -0.1), row(3, 0.9, separation=-1.0)],
            "Separation -1.000: .* no more often .* But the separation",
            "less often|largest",
        ),
        ([row(2, -0.1), row(3, 0.9, separation=0.01)], "occur together, and less often", "no more often|But"),
        ([row(2, -0.1), row(3, 0.9, separation=0.0)], "no more often", "less often"),
    ],
)
def test_reason_agrees_with_the_table(table, said, unsaid):
    reason = _explain(max(table, key=lambda row: row["merit"]), table, words=True)
    assert re.search(said, reason)
    assert not re.search(unsaid, reason)


@pytest.mark.parametrize(("separation", "said"), [(0.4, "rows are nearer to"), (0.0, "no nearer"), (-0.2, "no nearer")])
def test_reason_for_data_that_are_not_words(separation, said):
    table = [row(2, 0.9, separation=separation)]
    reason = _explain(table[0], table, words=False)
    assert said in reason
    assert "words" not in reason
    assert ("But the separation" in reason) == (separation <= 0)


def test_reason_for_noise_has_a_warning():
    X = np.random.default_rng(0).standard_normal((200, 20))
    reason = choose_n_components(KrotovHopfield(), X, [3, 4, 5]).reason
    assert "hardly the same labels. " in reason
    assert "But the agreement does not support any number" in reason


# -- default candidates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [KrotovHopfield(), KMeans(n_init=1)], ids=["ours", "KMeans"])
def test_default_candidates_find_groups(learner):
    found = choose_n_components(learner, blobs(8, n=200), n_seeds=2)
    assert found.n_components == 8
    assert [row["n_components"] for row in found.table] == [2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25]


@pytest.mark.parametrize(
    ("n_rows", "numbers"), [(4, [2]), (20, [2]), (40, [2, 3, 4, 5]), (100, [2, 3, 4, 5, 6, 8, 10, 13])]
)
def test_default_candidates_leave_rows_for_each_component(n_rows, numbers):
    X = np.random.default_rng(0).random((n_rows, 12))
    for learner in (KrotovHopfield(), KMeans(n_init=1)):
        found = choose_n_components(learner, X, n_seeds=2)
        assert [row["n_components"] for row in found.table] == numbers


@pytest.mark.parametrize("learner", [OrthogonalSparseCoding(), PCA()], ids=["ours", "PCA"])
def test_default_candidates_end_at_the_number_of_features(learner):
    X = load_iris().data
    found = choose_n_components(learner, X)
    assert [row["n_components"] for row in found.table] == [2, 3, 4]
    with pytest.raises(ValueError, match="5"):
        choose_n_components(learner, X, [2, 5])


@pytest.mark.parametrize(
    "X", [np.eye(6)[np.arange(120) % 6], sparse.csr_matrix(np.eye(6)[np.arange(120) % 6])], ids=["dense", "CSR"]
)
def test_rows_of_one_entry_use_the_silhouette(X):
    found = choose_n_components(KrotovHopfield(), X, [3, 6, 8])
    assert found.n_components == 6
    assert "rows are nearer" in found.reason
    by_words = choose_n_components(KrotovHopfield(), X, [3, 6, 8], words=True)
    assert {row["separation"] for row in by_words.table} == {-1.0}
    assert "no more often" in by_words.reason


@pytest.mark.parametrize("learner", [KrotovHopfield(), InhibitedMixture(), KMeans(n_init=1)])
def test_repeated_rows_and_more_components_than_rows(learner):
    X = np.repeat(np.eye(3) + 0.1, 20, axis=0)
    assert choose_n_components(learner, X, [2, 3]).n_components == 3
    equal = choose_n_components(learner, np.ones((30, 4)), [2, 3])
    assert "hardly the same labels" in equal.reason
    if not isinstance(learner, KMeans):
        assert choose_n_components(learner, X, [3, 90]).n_components == 3


def test_images_use_the_silhouette():
    found = choose_n_components(KrotovHopfield(), load_digits().data[:600], [5, 10, 30])
    assert "words" not in found.reason
    assert found.n_components == 10


def test_selection_prints_as_a_table():
    table = [{**row(9, 0.25), "score": -12345.6}, {**row(10, 1.125), "score": -0.5}]
    assert str(Selection(10, "Take 10.", table)).splitlines() == [
        "components   score  separation  agreement  merit",
        "         9  -12346        .500       .900   .250",
        "        10   -.500        .500       .900  1.125 <",
        "",
        "Take 10.",
    ]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"candidates": []}, ValueError, r"integers >= 2, got \[\]. Use range"),
        ({"candidates": range(1, 4)}, ValueError, r"integers >= 2, got range\(1, 4\)"),
        ({"candidates": [2.5]}, ValueError, "`candidates` must be integers"),
        ({"candidates": 5}, ValueError, "got 5"),
        ({"n_seeds": 1}, ValueError, "`n_seeds` must be an integer >= 2, got 1"),
        ({"n_seeds": 2.0}, ValueError, ">= 2, got 2.0"),
        ({"random_state": "x"}, ValueError, "cannot be used to seed"),
        ({"test_size": 1.0}, ValueError, "between 0 and 1, got 1.0"),
        ({"words": True, "X": -np.eye(8)}, ValueError, "got negative values"),
        ({"X": np.eye(3)}, ValueError, "expected at least four rows, .* got 3"),
        ({"X": np.zeros((20, 5))}, ValueError, r"expected rows with values .* shape \(20, 5\) .* only zeros"),
        (
            {"estimator": MultinomialMixture(), "X": np.eye(9)[:, :3]},
            ValueError,
            "expected at least four rows that are not all zero, .* got 3",
        ),
        ({"X": np.full((8, 2), np.nan)}, ValueError, "NaN"),
        (
            {"X": ["some text"] * 8},
            TypeError,
            "KrotovHopfield expected a matrix of numbers, got text. Add a vectorizer",
        ),
        ({"X": np.array([["some text"]] * 8)[:, 0]}, TypeError, "got text. Add a vectorizer"),
        ({"estimator": RandomForestClassifier()}, TypeError, "got RandomForestClassifier"),
        ({"estimator": "NMF"}, TypeError, "got str"),
        ({"estimator": TfidfVectorizer(), "X": np.eye(8)}, TypeError, "got TfidfVectorizer"),
    ],
)
def test_invalid_arguments_are_rejected(changes, error, words):
    arguments = {"estimator": KrotovHopfield(), "X": np.eye(8), "candidates": [2, 3], **changes}
    with pytest.raises(error, match=words):
        choose_n_components(**arguments)


def test_random_state_types():
    X = planted(3, n=60)
    ask = partial(choose_n_components, KrotovHopfield(), X, [2, 3])
    assert ask(random_state=None).n_components in (2, 3)
    first, second = (ask(random_state=np.random.RandomState(0)) for _ in range(2))
    assert first == second
    assert ask(random_state=np.int64(5)) == ask(random_state=5)
    generator = np.random.RandomState(0)
    assert ask(random_state=generator).table != ask(random_state=generator).table  # it goes on drawing


def test_signed_components_are_accepted():
    found = choose_n_components(TruncatedSVD(), blobs(4), [2, 3])
    assert [r["n_components"] for r in found.table] == [2, 3]


def test_data_frames_are_accepted():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(planted(3, n=200).toarray()).rename(columns="word {}".format)
    assert choose_n_components(KrotovHopfield(), frame, [2, 3, 4]).n_components == 3
