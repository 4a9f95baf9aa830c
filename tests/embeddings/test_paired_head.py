"""The closed form of a head against slow loops, and that no head is kept which does not rank better."""

import pickle
import warnings

import numpy as np
import oracles
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from codebooks import KrotovHopfield, PairedHead
from codebooks.embeddings._head_closed_form import compute_barlow_loss, compute_scatter_matrices, fit_closed_form_head
from codebooks.embeddings._head_validation import (
    FoldMetrics,
    choose_epoch,
    compute_chance_level,
    compute_first_ranks,
    describe_collapse,
    evaluate_improvement,
    split_groups,
)
from codebooks.plots import plot_groups, plot_history


def planted(n_groups=60, n_rows=6, n_features=16, seed=0, noise=3.0):
    """Groups that differ in all directions alike, while rows of a group vary in the first half of them."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), n_rows)
    spread = np.where(np.arange(n_features) < n_features // 2, noise, 0.3)
    X = rng.standard_normal((n_groups, n_features))[groups]
    X += rng.standard_normal((len(groups), n_features)) * spread
    order = rng.permutation(len(groups))
    return X[order], groups[order]


def mrr(Z, groups):
    return np.mean(1 / compute_first_ranks(Z, groups))


# -- the closed form -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [0.1, 3.0])
def test_the_head_whitens_inside_groups(ridge):
    X, groups = planted(12, 5, 6)
    S = oracles.spread_inside_groups(X, groups)
    np.testing.assert_allclose(compute_scatter_matrices(X, groups)[1], S, rtol=1e-12)
    H = fit_closed_form_head(X, groups, ridge, None, True)
    ridge *= 1 + 2 * 6 / (60 - 12)  # of few rows
    shrunk = (S / (np.trace(S) / 6) + ridge * np.eye(6)) / (1 + ridge)
    np.testing.assert_allclose(H @ shrunk @ H, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(H, H.T, atol=1e-13)
    assert (np.linalg.eigvalsh(H) > 0).all()


def test_the_head_tends_to_the_identity():
    X, groups = planted(12, 5, 6)
    np.testing.assert_allclose(fit_closed_form_head(X, groups, 1e9, None, True), np.eye(6), atol=1e-8)


def test_canonical_axes_rank_as_the_head_does():
    X, groups = planted()
    whole, axes = fit_closed_form_head(X, groups, 1.0, None, True), fit_closed_form_head(X, groups, 1.0, 16, True)
    np.testing.assert_allclose((X @ axes.T) @ (X @ axes.T).T, (X @ whole.T) @ (X @ whole.T).T, rtol=1e-9, atol=1e-9)
    total, within = compute_scatter_matrices(X, groups)
    shared = axes @ (total - within) @ axes.T
    assert np.abs(shared - np.diag(np.diag(shared))).max() < 1e-10
    assert (np.diff(np.diag(shared)) <= 1e-12).all()
    np.testing.assert_allclose(fit_closed_form_head(X, groups, 1.0, 5, True), axes[:5], rtol=1e-10, atol=1e-12)


def test_head_without_residual_removes_directions_that_groups_do_not_share():
    X, groups = planted(200, 6, 8)
    weights = np.linalg.norm(fit_closed_form_head(X, groups, 0.01, None, False), axis=1)
    axes = np.linalg.norm(fit_closed_form_head(X, groups, 0.01, 8, True), axis=1)
    assert (weights <= axes).all()
    assert (weights[4:] / axes[4:]).max() < (weights[:4] / axes[:4]).min()


def test_equal_rows_in_all_groups_leave_the_identity():
    X = np.repeat(np.eye(6), 3, axis=0)
    np.testing.assert_array_equal(fit_closed_form_head(X, np.repeat(np.arange(6), 3), 3.0, None, True), np.eye(6))


def test_barlows_loss_is_that_of_all_pairs():
    X, groups = planted(300, 2, 5, noise=1.0)
    order = np.argsort(groups, kind="stable")
    first, second = X[order][::2], X[order][1::2]
    # Each pair counts in both orders.
    expected = oracles.barlow_loss(np.vstack([first, second]), np.vstack([second, first]), 0.01)
    assert compute_barlow_loss(X, groups, 0.01) == pytest.approx(expected, rel=0.02)


# -- judging ---------------------------------------------------------------------------------------------------------


def test_ranks_equal_slow_loops():
    X, groups = planted(10, 3, 4)
    expected = [oracles.first_rank(X, groups, i) for i in range(len(X))]
    np.testing.assert_array_equal(compute_first_ranks(X, groups), expected)
    np.testing.assert_array_equal(
        compute_first_ranks(np.ones((6, 2)), np.repeat([0, 1, 2], 2)), [5] * 6
    )  # strangers win ties


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ranks_count_ties_within_rounding_as_other_rows_first(dtype):
    friend = np.array([0.6, 0.8], dtype)
    stranger = np.nextafter(friend, dtype(0))
    Z = np.array([[1, 0], friend, stranger, [-1, 0]], dtype)
    np.testing.assert_array_equal(compute_first_ranks(Z, np.array([0, 0, 1, 1]), np.array([0])), [2])


@pytest.mark.parametrize(("n_relevant", "n_rows"), [(1, 1), (1, 9), (3, 9), (9, 9), (40, 2000)])
def test_chance_level_equals_the_mean_over_random_orders(n_relevant, n_rows):
    rng = np.random.default_rng(0)
    drawn = [1 / (1 + rng.permutation(n_rows)[:n_relevant].min()) for _ in range(4000)]
    assert compute_chance_level(n_relevant, n_rows) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 60)


def test_folds_hold_out_whole_groups_and_each_once():
    groups = np.repeat(np.arange(23), np.r_[np.ones(10, int), np.full(13, 4)])
    folds = split_groups(groups)
    assert len(folds) == 5
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.queries])
        assert len(fold.candidates) == len(groups)
    asked = np.concatenate([fold.queries for fold in folds])
    np.testing.assert_array_equal(np.sort(asked), np.arange(10, 62))  # rows that are alone are never asked for
    sizes = [len(set(groups[fold.queries])) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


def test_folds_sample_queries_and_candidates_of_many_rows():
    groups = np.arange(60_000) // 2
    for fold in split_groups(groups):
        assert len(fold.queries) <= 2_000
        assert len(fold.candidates) <= 40_000
        assert np.isin(fold.queries, fold.candidates).all()
        assert np.isin(fold.queries ^ 1, fold.candidates).all()  # the other row of the group


def fold_metrics(*mrr):
    return [FoldMetrics(np.array([1 / one]), 0.0, 0.0) for one in mrr]


def test_choose_epoch_takes_the_last_within_one_standard_error():
    raw = fold_metrics(0.5, 0.5, 0.5)
    best, tied, worse = fold_metrics(0.60, 0.70, 0.65), fold_metrics(0.59, 0.66, 0.66), fold_metrics(0.52, 0.50, 0.51)
    assert choose_epoch(raw, [tied, best, tied, worse]) == 2
    assert choose_epoch(raw, [best, worse, worse]) == 0
    assert (
        choose_epoch(raw, [fold_metrics(0.3, 0.4, 0.3), fold_metrics(0.4, 0.5, 0.45)]) == 1
    )  # none improves: the best is returned


@pytest.mark.parametrize(("gains", "kept"), [((0.1, 0.12, 0.11), True), ((0.1, -0.2, 0.1), False), ((0, 0, 0), False)])
def test_head_is_kept_if_its_gain_exceeds_one_standard_error(gains, kept):
    groups = np.repeat(np.arange(6), 2)
    folds = split_groups(groups)
    raw = [FoldMetrics(np.full(4, 1 / 0.7), 0.0, 0.0) for _ in folds]
    after = [FoldMetrics(1 / (0.7 + gain + np.array([0.01, 0.01, -0.01, -0.01])), 0.0, 0.0) for gain in gains]
    improvement = evaluate_improvement(raw, after, groups, folds)
    assert improvement.improved == kept
    assert improvement.gain == pytest.approx(np.mean(gains), abs=1e-3)
    assert improvement.error == pytest.approx(np.std(gains, ddof=1) / np.sqrt(3), abs=1e-3)
    assert (improvement.reason == "") == kept


# -- kept or not -----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(3))
def test_head_that_improves_ranking_is_kept(seed):
    X, groups = planted(seed=seed)
    head = PairedHead(ridge=0.3).fit(X, groups)
    assert head.improved_
    assert head.gain_ > 3 * head.gain_error_
    new, new_groups = planted(seed=seed + 100)
    assert mrr(head.transform(new), new_groups) > mrr(new, new_groups) + 0.05
    before, after = head.history_
    assert after["mrr"] - before["mrr"] == pytest.approx(head.gain_)
    assert after["distance"] < before["distance"]
    assert after["isoscore"] != before["isoscore"]
    assert [entry["epoch"] for entry in head.history_] == [0, 1]


@pytest.mark.parametrize("redundancy", [0.0, 0.0051, 0.5])
def test_a_head_that_changes_nothing_has_the_loss_of_no_head(redundancy):
    X, groups = planted(40, 5, 6)
    head = PairedHead(ridge=1e9, redundancy=redundancy)
    with pytest.warns(UserWarning, match="does not change"):
        head.fit(X, groups)
    before, after = head.history_
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_shuffled_labels_keep_the_identity_with_a_warning(seed):
    X, groups = planted(seed=seed)
    shuffled = np.random.default_rng(seed).permutation(groups)
    with pytest.warns(UserWarning, match=r"does not change the embeddings .*(no better than chance|not rank)"):
        head = PairedHead().fit(X, shuffled)
    assert head.improved_ is False
    np.testing.assert_array_equal(head.transform(X), X)
    np.testing.assert_array_equal(head.components_, np.eye(16))
    assert not np.allclose(head.candidate_, np.eye(16))
    assert len(head.history_) == 2


def test_head_without_gain_keeps_the_identity():
    X = np.repeat(np.eye(20), 4, axis=0) + 0.01 * np.random.default_rng(0).standard_normal((80, 20))
    with pytest.warns(UserWarning, match="does not rank held-out groups better than no head"):
        head = PairedHead().fit(X, np.repeat(np.arange(20), 4))
    assert not head.improved_
    assert head.gain_ == pytest.approx(0)


def test_identity_ignores_n_components():
    X, groups = planted()
    with pytest.warns(UserWarning, match="does not change"):
        head = PairedHead(n_components=3).fit(X, np.random.default_rng(0).permutation(groups))
    assert head.transform(X).shape == X.shape
    assert len(head.get_feature_names_out()) == 16


def test_equal_rows_are_unchanged():
    X = np.ones((40, 4))
    with pytest.warns(UserWarning, match="does not change the embeddings"):
        head = PairedHead().fit(X, np.arange(40) // 4)
    np.testing.assert_array_equal(head.transform(X), X)


TOO_LITTLE = {
    "one group": np.zeros(12),
    "three groups": np.repeat([0, 1, 2], 4),
    "each alone": np.arange(12),
    "three pairs": np.r_[[0, 0, 1, 1, 2, 2], np.arange(3, 9)],
}


@pytest.mark.parametrize("y", TOO_LITTLE.values(), ids=TOO_LITTLE)
def test_too_few_groups_keep_the_identity(y):
    X = np.random.default_rng(0).standard_normal((12, 4))
    with pytest.warns(UserWarning, match=r"expected at least 4 groups of two rows, got \d+ among \d+ groups"):
        head = PairedHead().fit(X, y)
    assert not head.improved_
    assert head.history_ == []
    assert np.isnan(head.gain_)
    np.testing.assert_array_equal(head.transform(X), X)


@pytest.mark.parametrize("n_groups", [4, 5, 7, 10])
def test_few_groups_make_fewer_folds(n_groups):
    X, groups = planted(n_groups, 6)
    assert len(split_groups(groups)) == min(5, n_groups // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        head = PairedHead().fit(X, groups)
    assert np.isfinite(head.gain_error_)


def test_rows_alone_in_their_group_do_not_change_the_head():
    X, groups = planted()
    more = np.random.default_rng(1).standard_normal((30, 16))
    one = PairedHead(ridge=0.3).fit(X, groups)
    two = PairedHead(ridge=0.3).fit(np.vstack([X, more]), np.r_[groups, 1000 + np.arange(30)])
    np.testing.assert_allclose(two.components_, one.components_, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        (np.outer([1, 2, 3, 4, 5, 6], np.ones(6)), "along one direction"),
        (np.zeros((6, 6)), "one point"),
        (np.diag([1.0, 1, 0, 0, 0, 0]), "lost rank"),
    ],
)
def test_describe_collapse(head, complaint):
    X = np.random.default_rng(0).standard_normal((100, 6))
    assert complaint in describe_collapse(X, X @ head)
    assert describe_collapse(X, X) == ""
    assert describe_collapse(X + 100, X) == ""


def test_collapsed_head_gives_a_warning():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 4)
    X = np.hstack([rng.standard_normal((20, 1))[groups], 1e-3 * rng.standard_normal((80, 5))])
    X[:, 1:] += rng.standard_normal((80, 5))
    with pytest.warns(UserWarning, match=r"collapsed: all outputs lie along one direction .* Use a larger ridge"):
        PairedHead(residual=False, ridge=1e-6).fit(X, groups)


# -- pairs -----------------------------------------------------------------------------------------------------------


def test_pairs_are_groups_of_two():
    X, groups = planted(80, 2)
    order = np.argsort(groups, kind="stable")
    pairs = PairedHead(ridge=0.3).fit_pairs(X[order][::2], X[order][1::2])
    rows = PairedHead(ridge=0.3).fit(X, groups)
    assert pairs.improved_
    np.testing.assert_allclose(pairs.components_, rows.components_, rtol=1e-9, atol=1e-12)


def test_a_row_in_two_pairs_joins_them():
    X, groups = planted(80, 3)
    order = np.argsort(groups, kind="stable")
    first, second, third = (X[order][i::3] for i in range(3))
    pairs = PairedHead(ridge=0.3).fit_pairs(np.vstack([first, first]), np.vstack([second, third]))
    rows = PairedHead(ridge=0.3).fit(X, groups)
    np.testing.assert_allclose(pairs.components_, rows.components_, rtol=1e-9, atol=1e-12)


# -- laws ------------------------------------------------------------------------------------------------------------


def test_result_does_not_depend_on_the_order_of_rows():
    X, groups = planted()
    one, two = PairedHead().fit(X, groups), PairedHead().fit(X, groups)
    np.testing.assert_array_equal(one.components_, two.components_)
    assert one.history_ == two.history_
    order = np.random.default_rng(1).permutation(len(X))
    three = PairedHead().fit(X[order], groups[order])
    np.testing.assert_allclose(three.components_, one.components_, rtol=1e-10, atol=1e-12)
    assert three.gain_ == pytest.approx(one.gain_)


def test_names_of_groups_do_not_matter():
    X, groups = planted()
    number = PairedHead().fit(X, groups)
    for named in (np.array([f"{group:03}" for group in groups]), [f"{group:03}" for group in groups], groups + 0.5):
        np.testing.assert_array_equal(PairedHead().fit(X, named).components_, number.components_)


@pytest.mark.parametrize("form", [np.asfortranarray, np.ndarray.tolist, lambda X: np.repeat(X, 2, axis=0)[::2]])
def test_input_types_with_equal_values_give_equal_results(form):
    X, groups = planted()
    expected = PairedHead().fit(X, groups)
    head = PairedHead().fit(form(X), groups)
    np.testing.assert_allclose(head.components_, expected.components_, rtol=1e-10, atol=1e-12)


def test_float32_stays_float32():
    X, groups = planted()
    wide, narrow = PairedHead().fit(X, groups), PairedHead().fit(X.astype(np.float32), groups)
    assert narrow.components_.dtype == narrow.transform(X.astype(np.float32)).dtype == np.float32
    assert narrow.transform(X).dtype == np.float64
    assert wide.transform(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(narrow.transform(X), wide.transform(X), atol=1e-4)


def test_shapes_and_attributes_of_the_result():
    X, groups = planted()
    head = PairedHead(ridge=0.3).fit(X + 5, groups)
    np.testing.assert_allclose(head.mean_, X.mean(axis=0) + 5)
    np.testing.assert_allclose(head.transform(X), (X - head.mean_) @ head.components_.T)
    np.testing.assert_allclose(
        head.components_, fit_closed_form_head(X, groups, 0.3, None, True), rtol=1e-9, atol=1e-12
    )


def test_transform_returns_a_copy_and_does_not_modify_its_input():
    X, groups = planted()
    before = X.copy()
    with pytest.warns(UserWarning, match="does not change"):
        head = PairedHead().fit(X, np.random.default_rng(0).permutation(groups))
    assert not np.shares_memory(head.transform(X), X)
    np.testing.assert_array_equal(X, before)


def test_pickle_and_clone():
    X, groups = planted()
    head = PairedHead(ridge=1.0).fit(X, groups)
    again = pickle.loads(pickle.dumps(head))
    np.testing.assert_array_equal(again.transform(X), head.transform(X))
    assert clone(head).get_params() == head.get_params()


def test_feature_names_and_data_frames():
    pd = pytest.importorskip("pandas")
    X, groups = planted()
    head = PairedHead(n_components=3, ridge=0.3).fit(X, groups).set_output(transform="pandas")
    frame = head.transform(X)
    assert list(frame.columns) == ["pairedhead0", "pairedhead1", "pairedhead2"]
    assert isinstance(frame, pd.DataFrame)


def test_pipeline_with_a_learner():
    X, groups = planted(5, 40)
    pipeline = make_pipeline(PairedHead(ridge=0.3), KrotovHopfield(5, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert pipeline.fit(X, groups).predict(X).shape == (200,)


# -- what is refused -------------------------------------------------------------------------------------------------

GOOD = np.random.default_rng(0).standard_normal((20, 4))
IN_FOURS = np.repeat(np.arange(5), 4)
REFUSED = {
    "no y": (GOOD, None, ValueError, "requires y to be passed"),
    "y too short": (GOOD, IN_FOURS[:-1], ValueError, "expected 20 targets, one for each row of X, got 19"),
    "y a matrix": (GOOD, np.zeros((20, 2)), ValueError, "one group for each row, got y of shape"),
    "NaN in y": (GOOD, np.r_[np.nan, np.zeros(19)], ValueError, "got .*nan.* in row 0"),
    "NaN in a list": (GOOD, ["a"] * 19 + [float("nan")], ValueError, "got nan in row 19. Remove"),
    "NaN among objects": (GOOD, np.array([1.0, np.nan] * 10, dtype=object), ValueError, "in row 1"),
    "None in y": (GOOD, np.array([None, "a"] * 10, dtype=object), ValueError, "got None in row 0"),
    "mixed y": (GOOD, ["a", 1] * 10, TypeError, "labels of one type, .* got numbers and strings"),
    "NaN": (np.where(GOOD > 2, np.nan, GOOD) * [1, 1, 1, np.nan], IN_FOURS, ValueError, "NaN"),
    "zeros": (np.zeros((20, 4)), IN_FOURS, ValueError, "only zeros"),
    "sparse": (sparse.csr_matrix(GOOD), IN_FOURS, TypeError, "dense embeddings, got a sparse matrix"),
    "text": (["a text"] * 20, IN_FOURS, TypeError, "matrix of numbers, got text"),
}


@pytest.mark.parametrize(("X", "y", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_invalid_input_is_rejected(X, y, error, message):
    with pytest.raises(error, match=message):
        PairedHead().fit(X, y)


def test_pairs_of_different_shapes_are_rejected():
    with pytest.raises(ValueError, match=r"same shape, row i of each a pair, got \(20, 4\) and \(19, 4\)"):
        PairedHead().fit_pairs(GOOD, GOOD[:-1])
    with pytest.raises(ValueError, match=r"got \(20, 4\) and \(20, 3\)"):
        PairedHead().fit_pairs(GOOD, GOOD[:, :3])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "marginal"}, r"got 'marginal', which has no closed form. Use solver='sgd'"),
        ({"n_components": 5}, "`n_components` must be at most the number of features, 4, got 5"),
        ({"ridge": 0}, "'ridge' parameter of PairedHead must be"),
        ({"solver": "adam"}, "'solver' parameter of PairedHead must be"),
    ],
)
def test_incompatible_parameters_are_rejected(settings, message):
    with pytest.raises(ValueError, match=message):
        PairedHead(**settings).fit(GOOD, IN_FOURS)


def test_failed_fit_restores_attributes():
    X, groups = planted()
    head = PairedHead().fit(X, groups)
    before = head.transform(X)
    with pytest.raises(ValueError):
        head.fit(X * np.nan, groups)
    with pytest.raises(ValueError):
        head.fit_pairs(GOOD, GOOD[:3])
    np.testing.assert_array_equal(head.transform(X), before)
    with pytest.raises(NotFittedError):
        PairedHead().transform(X)


def test_missing_torch_error_names_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    X, groups = planted()
    with pytest.raises(ImportError, match=r"pip install 'codebooks-learn\[text\]'"):
        PairedHead(solver="sgd").fit(X, groups)


# -- figures ---------------------------------------------------------------------------------------------------------


def test_plot_head_history():
    X, groups = planted()
    head = PairedHead(ridge=0.3).fit(X, groups)
    ax = plot_history(head)
    assert {line.get_label() for line in ax.lines} >= {"MRR", "loss", "distance to centroid", "isoscore"}
    assert ax.get_title(loc="left").endswith("kept")
    assert plot_history(head, ax=ax) is ax
    with pytest.raises(ValueError, match="must have a history"), pytest.warns(UserWarning, match="does not change"):
        plot_history(PairedHead().fit(X, np.zeros(len(X))))


def test_plot_head_groups():
    X, groups = planted(12)
    figure = plot_groups(X, X @ np.diag(np.arange(1, 17)), groups, n_groups=5)
    assert [len(ax.collections) for ax in figure.axes] == [5, 5]
    with pytest.raises(ValueError, match="got 72, 71 and 72"):
        plot_groups(X, X[:-1], groups)


# scikit-learn's data has no more than three groups, which cannot be judged: the identity is kept, and it is said.
@pytest.mark.filterwarnings("ignore:PairedHead does not change the embeddings")
@pytest.mark.filterwarnings("ignore:PairedHead collapsed")
@parametrize_with_checks([PairedHead(), PairedHead(residual=False), PairedHead(n_components=1)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)
