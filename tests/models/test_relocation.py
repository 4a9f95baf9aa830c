"""Relocation of redundant components and revival of idle ones, compared with results by hand and with oracles."""

import numpy as np
import oracles
import pytest
import zoo
from scipy import sparse
from sklearn.metrics import normalized_mutual_info_score

from codebooks import InhibitedMixture, KrotovHopfield, OrthogonalSparseCoding
from codebooks.datasets import make_planted_corpus
from codebooks.models import relocation
from codebooks.models.relocation import find_moves, relocate
from codebooks.models.revival import find_widest_directions, pair_by_error

FORMATS = {"dense": np.asarray, "csr": sparse.csr_matrix}
# Components 0 and 1 share one group, component 2 has another; a third group has none, so component 2 wins it as well.
SHARED = [[1, 0.2, 0, 0, 0, 0]] * 4 + [[2, 0, 0.4, 0, 0, 0]] * 3
OWN = [[0, 0, 0, 1, 0, 0]] * 9
UNCOVERED = [[0, 0, 0, 0.3, 1, 0], [0, 0, 0, 0.3, 1.1, 0], [0, 0, 0, 0.6, 2, 0], [0, 0, 0, 0.3, 0.9, 0]]
UNITS = np.array([[1, 0.2, 0, 0, 0, 0], [1, 0, 0.2, 0, 0, 0], [0, 0, 0, 1, 0, 0]])


def scaled(W):
    W = np.asarray(W, dtype=float)
    return W / np.linalg.norm(W, axis=-1, keepdims=True)


def setting(n_uncovered=4):
    X = np.array(SHARED + OWN + UNCOVERED[:n_uncovered])
    return X, np.array([0] * 4 + [1] * 3 + [2] * (9 + n_uncovered))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMATS)
def test_a_redundant_component_moves_to_the_worst_explained_rows(form, dtype):
    X, labels = setting()
    (move,) = find_moves(FORMATS[form](X.astype(dtype)), scaled(UNITS).astype(dtype), labels)
    assert (move.component, move.partner, move.n_rows) == (1, 0, 4)  # the lighter one goes
    np.testing.assert_allclose(move.common_direction, scaled(scaled(SHARED).sum(axis=0)), atol=1e-6)
    np.testing.assert_allclose(move.new_direction, scaled(scaled(UNCOVERED).sum(axis=0)), atol=1e-6)
    assert move.common_direction.dtype == move.new_direction.dtype == dtype


@pytest.mark.parametrize("form", FORMATS)
def test_the_component_with_fewer_rows_moves(form):
    X, labels = setting()
    labels[:7] = 1 - labels[:7]
    (move,) = find_moves(FORMATS[form](X), scaled(UNITS)[[1, 0, 2]], labels)
    assert (move.component, move.partner) == (0, 1)


@pytest.mark.parametrize("form", FORMATS)
def test_moves_do_not_depend_on_the_size_of_blocks(form, monkeypatch):
    X, labels = setting()
    whole = find_moves(FORMATS[form](X), scaled(UNITS), labels)
    monkeypatch.setattr(relocation, "_BLOCK", 3)  # the uncovered rows fall into two blocks, others hold none
    (found,), (expected,) = find_moves(FORMATS[form](X), scaled(UNITS), labels), whole
    assert found.n_rows == expected.n_rows == 4
    np.testing.assert_allclose(found.new_direction, expected.new_direction, atol=1e-12)


@pytest.mark.parametrize("form", FORMATS)
def test_moves_of_many_rows_are_found_in_a_sample(form, monkeypatch):
    X, labels = setting()
    X, labels = np.tile(X, (40, 1)), np.tile(labels, 40)
    (whole,) = find_moves(FORMATS[form](X), scaled(UNITS), labels)
    monkeypatch.setattr(relocation, "_N_SAMPLES", 200)
    (found,) = find_moves(FORMATS[form](X), scaled(UNITS), labels)
    assert (found.component, found.partner) == (whole.component, whole.partner)
    np.testing.assert_allclose(found.new_direction, whole.new_direction, atol=0.1)
    assert found.n_rows == pytest.approx(whole.n_rows, rel=0.4)  # of all rows, not of the sample


def test_two_pairs_go_to_two_groups():
    lines = np.repeat(np.eye(8)[:4], 10, axis=0)  # two groups that have two units each, and two that have none
    X = np.vstack([lines[:20], 0.2 * lines[:20] + lines[20:], np.zeros((2, 8))])
    labels = np.r_[[0] * 6, [1] * 4, [2] * 7, [3] * 3, [-1] * 22]
    found = find_moves(X, np.eye(8)[[0, 0, 1, 1]], labels)
    assert sorted((move.component, move.partner) for move in found) == [(1, 0), (3, 2)]
    goals = sorted(int(move.new_direction.argmax()) for move in found)
    assert goals == [2, 3]
    assert [move.n_rows for move in found] == [10, 10]


def test_of_three_units_on_one_group_two_are_paired():
    X = np.repeat(np.eye(8), [9, 5, 5, 5, 5, 0, 0, 0], axis=0)
    labels = np.r_[[0] * 2, [1] * 4, [2] * 3, [3] * 5, [4] * 5, [-1] * 10]
    (move,) = find_moves(X, np.eye(8)[[0, 0, 0, 1, 2]], labels)
    assert (move.component, move.partner) == (0, 1)


def test_a_common_direction_of_all_rows_makes_no_component_redundant():
    """As in embeddings: any two of these groups have a cosine of .9, and one of them has no unit."""
    X = np.repeat(np.eye(8)[:6], 5, axis=0) + 3 * np.eye(8)[7]
    labels = np.repeat([0, 1, 2, 3, 4, -1], 5)
    units = scaled(np.eye(8)[:5] + 3 * np.eye(8)[7])
    assert find_moves(X, units, labels) == []
    labels[:5] = [0, 0, 0, 1, 1]  # while two units on one group still are
    (move,) = find_moves(X, units[[0, 0, 2, 3, 4]], np.where(labels == 1, np.where(X[:, 0] > 0, 1, -1), labels))
    assert (move.component, move.partner) == (1, 0)
    assert move.n_rows >= 5  # a row on a unit counts too where rounding puts it nearer to the candidate


def test_components_of_two_groups_each_are_not_redundant():
    """Six groups with a common part of most energy: each of three units has won two groups, and none is to spare."""
    groups = np.eye(7)[:6] + 2 * np.eye(7)[6]
    X, labels = np.repeat(groups, 5, axis=0), np.repeat([0, 0, 1, 1, 2, 2], 5)
    assert find_moves(X, scaled(groups[::2] + groups[1::2]), labels) == []


@pytest.mark.parametrize("n_components", [2, 3])
@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_fewer_components_than_groups_with_a_common_part_stay(learner, n_components):
    """Binary rows of five groups of equal size, of three seeds: revival lowers neither agreement nor score."""
    lost = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        y, p = rng.integers(0, 5, 600), rng.beta(0.5, 0.5, (5, 60))
        X = (rng.random((600, 60)) < p[y]).astype(float)
        revived, plain = (learner(n_components, revive=revive, random_state=seed).fit(X) for revive in (True, False))
        agreements = [normalized_mutual_info_score(y, model.labels_) for model in (revived, plain)]
        lost.append([agreements[1] - agreements[0], plain.score(X) - revived.score(X)])
    assert (np.median(lost, axis=0) <= [0.02, 0.005]).all()


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_revival_costs_at_most_a_hundredth_of_the_energy_without_groups(learner):
    """Patches without groups, of three seeds: which components are alike depends on chance."""
    for seed in range(3):
        data = zoo.centred_patches(seed, 0.25)
        revived, plain = (
            learner(data.n_components, revive=revive, random_state=seed).fit(data.X) for revive in (True, False)
        )
        assert revived.score(data.X) >= plain.score(data.X) - 0.012


def test_no_moves_without_redundant_components():
    X, labels = setting()
    labels[4:7] = 0
    assert find_moves(X, scaled(UNITS), labels) == []  # unit 1 has won nothing: idle, but nobody's twin
    X[4:7] = [0, 0, 1, 0, 0, 0]
    labels[4:7] = 1
    assert find_moves(X, scaled([UNITS[0], [0, 0, 1, 0, 0, 0], UNITS[2]]), labels) == []


@pytest.mark.parametrize(("n_uncovered", "n_moves"), [(0, 0), (2, 0), (3, 1)])
def test_odd_rows_are_no_group_to_go_to(n_uncovered, n_moves):
    X, labels = setting(n_uncovered)
    assert len(find_moves(X, scaled(UNITS), labels)) == n_moves


@pytest.mark.parametrize("form", FORMATS)
def test_empty_rows_are_ignored(form):
    X, labels = setting()
    (expected,) = find_moves(FORMATS[form](X), scaled(UNITS), labels)
    nothing = np.zeros((300, 6))  # more than there are candidates
    for place in (0, 3, len(X)):
        more, marked = np.insert(X, [place], nothing, axis=0), np.insert(labels, [place], np.full(300, -1))
        (found,) = find_moves(FORMATS[form](more), scaled(UNITS), marked)
        assert found[:2] == expected[:2]
        assert found.n_rows == expected.n_rows
        np.testing.assert_allclose(found.common_direction, expected.common_direction, atol=1e-12)
        np.testing.assert_allclose(found.new_direction, expected.new_direction, atol=1e-12)


def n_topics_found(learner, seed):
    """How many of ten planted topics, the largest a hundred times the smallest, have a unit of their own."""
    corpus = make_planted_corpus(2000, 10, balance=100 ** (-1 / 9), random_state=seed)
    labels = learner(random_state=seed).fit(corpus.X).labels_
    table = np.zeros((10, 10))
    np.add.at(table, (corpus.labels, labels), 1)
    main = table.argmax(axis=1)
    held = table.max(axis=1)
    return int(np.sum((held >= table.sum(axis=1) / 2) & (held >= table.sum(axis=0)[main] / 2)))


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
class TestSkewedTopics:
    @pytest.mark.parametrize("seed", range(3))
    def test_every_topic_has_its_unit(self, learner, seed):
        assert n_topics_found(learner, seed) == 10

    def test_without_the_moves_topics_are_lost(self, learner, monkeypatch):
        monkeypatch.setattr(learner, "_find_redundant", lambda self, X, state, labels, sample_weight: [])
        assert min(n_topics_found(learner, seed) for seed in range(3)) < 10


# -- division of components ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_paired_by_error_divides_the_largest_error_first(seed):
    rng = np.random.default_rng(seed)
    errors = rng.random(12) ** 3
    idle = np.sort(rng.choice(12, rng.integers(1, 9), replace=False))
    errors[idle] = 0
    before = errors.copy()
    pairs = pair_by_error(errors, idle)
    assert pairs == oracles.pairs_by_error(errors, idle)
    np.testing.assert_array_equal(errors, before)
    assert pairs[0] == (errors.argmax(), idle[0])
    assert [unit for _, unit in pairs] == idle[: len(pairs)].tolist()


@pytest.mark.parametrize(
    ("errors", "idle", "expected"),
    [
        ([0.0, 0, 0], [1, 2], []),
        ([1.0, 0, 0], [], []),
        ([1.0, 0, 0], [1, 2], [(0, 1)]),
        ([1.0, 0, 1, 0], [1, 3], [(0, 1), (2, 3)]),
        ([4.0, 3, 2.5, 0, 0, 0], [3, 4, 5], [(0, 3), (1, 4), (2, 5)]),
        ([4.0, 3, 1.5, 0, 0, 0], [3, 4, 5], [(0, 3), (1, 4)]),
    ],
)
def test_paired_by_error_by_hand(errors, idle, expected):
    assert pair_by_error(np.array(errors), np.array(idle, dtype=int)) == expected


def parents_with_two_parts(dtype, n_features=15):
    """Rows of three units, each with two tight parts of different lengths, and the numbers of their owners."""
    rng = np.random.default_rng(0)
    units = np.linalg.qr(rng.standard_normal((n_features, 6)))[0].T
    centres = np.vstack([units[:3] + 0.4 * units[3:], units[:3] - 0.5 * units[3:]])
    owner = np.tile(np.arange(3), 40)
    X = centres[owner + 3 * (rng.random(120) < 0.4)] + 1e-3 * rng.standard_normal((120, n_features))
    return (X * rng.uniform(0.1, 10, (120, 1))).astype(dtype), units.astype(dtype), owner


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMATS)
def test_widest_directions_are_principal_directions(form, dtype):
    X, units, owner = parents_with_two_parts(dtype)
    noise = np.random.default_rng(1).standard_normal((3, 15)).astype(dtype)
    directions, widths, side = find_widest_directions(FORMATS[form](X), units[:3], owner, noise)
    tolerance = 1e-3 if dtype == np.float32 else 1e-5  # what three steps of the power method leave
    for k in range(3):
        expected, width = oracles.principal_direction(X[owner == k], units[k].astype(float))
        assert abs(directions[k] @ expected) == pytest.approx(1, abs=tolerance)
        assert directions[k] @ units[k] == pytest.approx(0, abs=1e-5)
        assert np.linalg.norm(directions[k]) == pytest.approx(1, abs=1e-5)
        assert widths[k] == pytest.approx(width, rel=1e-4)
        own = oracles.wide(X[owner == k])
        projections = own @ directions[k] / np.linalg.norm(own, axis=1)
        np.testing.assert_allclose(side[owner == k], projections - projections.mean(), atol=1e-5)
        np.testing.assert_array_equal(side[owner == k] > 0, own @ (directions[k] @ units[3 + k] * units[3 + k]) > 0)
    assert directions.dtype == widths.dtype == dtype


def test_widest_directions_of_units_with_few_or_equal_rows_are_the_noise():
    rng = np.random.default_rng(0)
    units = scaled(rng.standard_normal((4, 8)))
    X = np.vstack([rng.standard_normal((2, 8)), np.tile(3 * units[1], (9, 1)), np.tile(rng.standard_normal(8), (9, 1))])
    owner = np.repeat([0, 1, 2], [2, 9, 9])  # the last unit owns nothing
    noise = rng.standard_normal((4, 8))
    directions, widths, _ = find_widest_directions(X, units, owner, noise)
    expected = scaled(noise - (noise * units).sum(axis=1, keepdims=True) * units)
    np.testing.assert_allclose(directions, expected, atol=1e-12)
    assert widths[1] == widths[3] == pytest.approx(1e-3)  # never 0, or halves would be equal
    assert np.isfinite(widths).all()


def model_with_an_idle_component(learner, X, units, owner, p=2):
    """A model with the given units, of which the last wins nothing and the owner of most error is known."""
    settings = {"p": p} if p != 2 else {}
    model = learner(4, inhibition=None, random_state=0, **settings).partial_fit(X)
    W = np.vstack([scaled(np.array([X[owner == k].sum(axis=0) for k in range(3)])), -np.abs(units[5])])
    if learner is KrotovHopfield:
        W /= (np.abs(W) ** p).sum(axis=1, keepdims=True) ** (1 / p)
    usage = np.array([0.2, 0.5, 0.3, 0.0])
    return model, model._get_state()._replace(components=W, usage=usage)


@pytest.mark.parametrize(("learner", "p"), [(KrotovHopfield, 2), (KrotovHopfield, 3), (InhibitedMixture, 2)])
@pytest.mark.parametrize("form", FORMATS)
def test_an_idle_component_takes_half_of_the_worst_explaining_one(learner, p, form):
    X, units, owner = parents_with_two_parts(np.float64)
    model, state = model_with_an_idle_component(learner, X, units, owner, p)
    before = [np.copy(field) for field in state]
    lengths = np.linalg.norm(state.components, axis=1)
    errors = oracles.errors_of_components(X, scaled(state.components), np.zeros(4), state.usage)
    ((parent, idle),) = oracles.pairs_by_error(errors, [3])
    found = model._revive_idle(FORMATS[form](X), state)
    for old, field in zip(before, state, strict=True):
        np.testing.assert_array_equal(field, old)
    rows = X[oracles.find_nearest(X, scaled(state.components), np.zeros(4), 1)[0][:, 0] == parent]
    unit = state.components[parent] / lengths[parent]
    direction, width = oracles.principal_direction(rows, unit)
    expected = scaled(np.array([unit + 0.3 * width * direction, unit - 0.3 * width * direction]))
    halves = found.components[[idle, parent]]
    if halves[0] @ direction < 0:
        halves = halves[::-1]
    np.testing.assert_allclose(scaled(halves), expected, atol=1e-6)
    norms = (np.abs(found.components) ** p).sum(axis=1) ** (1 / p)
    expected_norms = (np.abs(state.components) ** p).sum(axis=1) ** (1 / p)
    np.testing.assert_allclose(norms[[idle, parent]], expected_norms[parent], rtol=1e-9)
    others = [k for k in range(4) if k not in (parent, idle)]
    np.testing.assert_array_equal(found.components[others], state.components[others])
    for name in ("usage", "mass"):
        shared = getattr(found, name)[[parent, idle]]
        np.testing.assert_allclose(shared, getattr(state, name)[parent] / 2)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_the_component_of_most_samples_is_divided_by_a_minibatch_without_them(learner, form):
    """As in minibatches of one row: the row that is there says how far samples are from their components."""
    X, units, owner = parents_with_two_parts(np.float64)
    model, state = model_with_an_idle_component(learner, X, units, owner)
    row = X[owner == 0][:1]
    found = model._revive_idle(FORMATS[form](row), state)
    np.testing.assert_array_equal(found.components[[0, 2]], state.components[[0, 2]])
    cosine = (scaled(row) @ state.components[0]).item()
    halves = found.components[[1, 3]]
    np.testing.assert_allclose(halves.sum(axis=0) @ scaled(state.components[1]), np.linalg.norm(halves.sum(axis=0)))
    tangent = 0.3 * np.sqrt(1 - cosine**2)
    np.testing.assert_allclose(halves @ scaled(state.components[1]), 1 / np.sqrt(1 + tangent**2))


@pytest.mark.parametrize("form", FORMATS)
def test_revived_orthogonal_components_are_orthonormal(form):
    X, units, owner = parents_with_two_parts(np.float64)
    model, state = model_with_an_idle_component(OrthogonalSparseCoding, X, units, owner)
    state = state._replace(components=oracles.nearest_orthonormal(state.components))
    found = model._revive_idle(FORMATS[form](X), state)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(4), atol=1e-10)
    won = oracles.find_nearest(X, found.components, found.inhibition, 1)[0][:, 0]
    assert len(set(won)) == 4


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture, OrthogonalSparseCoding])
def test_nothing_is_revived_where_all_samples_are_explained(learner):
    X = np.repeat(np.eye(3, 6), 10, axis=0)
    model = learner(5, inhibition=None, random_state=0).partial_fit(X)
    state = model._get_state()._replace(components=np.eye(6)[:5], usage=np.r_[np.full(3, 1 / 3), 0, 0])
    for one, other in zip(model._revive_idle(X, state), state, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    moved = model._revive_idle(X + 0.1 * np.random.default_rng(0).random(X.shape), state)
    assert not np.array_equal(moved.components, state.components)


@pytest.mark.parametrize("p", [1.5, 2, 3])
def test_relocated_components_have_p_norm_1(p):
    X, labels = setting()
    model = KrotovHopfield(3, p=p, random_state=0).partial_fit(X)
    state = model._get_state()._replace(components=UNITS / (UNITS**p).sum(axis=1, keepdims=True) ** (1 / p))
    moves = model._find_redundant(X, state, labels)
    found = relocate(state, moves, len(X), model._halved, model._compute_lengths)
    assert found is not state
    np.testing.assert_allclose((np.abs(found.components) ** p).sum(axis=1), 1)
    np.testing.assert_allclose(scaled(found.components[0]), scaled(scaled(SHARED).sum(axis=0)))
    np.testing.assert_allclose(scaled(found.components[1]), scaled(scaled(UNCOVERED).sum(axis=0)))


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_many_idle_components_divide_one_group_in_one_step(learner):
    """Halves are divided again by the samples that they take, so that eight components part in three rounds."""
    rng = np.random.default_rng(0)
    X = 1 + 0.5 * rng.random((400, 30))
    model = learner(8, inhibition=None, random_state=0).partial_fit(X)
    W = np.vstack([scaled(X.sum(axis=0)), -np.ones((7, 30))])
    found = model._revive_idle(X, model._get_state()._replace(components=W, usage=np.r_[1.0, np.zeros(7)]))
    won = oracles.find_nearest(X, scaled(found.components), np.zeros(8), 1)[0][:, 0]
    assert len(set(won)) == 8
    np.testing.assert_allclose(found.usage.sum(), 1)
    assert (found.usage > 0).all()


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
def test_fit_revives_at_most_three_times_at_a_plateau(learner, monkeypatch):
    """Three distinct rows leave two of five components without samples; the last passes revive nothing."""
    X = np.repeat(np.eye(3, 6), 20, axis=0) + 0.01
    revived = []
    passes = learner._run_epoch

    def watched(self, X, state, epoch, rng, revive=None, sample_weight=None):
        revived.append(revive)
        return passes(self, X, state, epoch, rng, revive, sample_weight)

    monkeypatch.setattr(learner, "_run_epoch", watched)
    with pytest.warns(UserWarning, match="2 of 5 components win no sample"):
        model = learner(5, random_state=0).fit(X)
    assert model.n_iter_ == len(revived) < model.max_iter
    assert revived == sorted(revived, reverse=True)  # True, then False
    assert 0 < revived.count(False) <= 5
