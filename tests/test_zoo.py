"""Defaults of the learners and the memory against the floor on every set of the zoo, and tests of the sets."""

from functools import cache

import numpy as np
import pytest
import zoo
from scipy import sparse
from sklearn.metrics import normalized_mutual_info_score
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

import codebooks
from benchmarks import report
from benchmarks import zoo as benchmark
from benchmarks.zoo import DEFAULTS, LEARNERS, ORTHONORMAL, PEER, UNREVIVED, Figures, Recall
from codebooks import KrotovHopfield

SEED = 0
SIZES = {"clothing_1000": 0.1}  # 100 components
SIZE = 0.15  # share of the rows
REAL = {"digits", "digits_40", "digits_in_bytes", "iris", "wine", "breast_cancer"}  # real groups, not planted


@cache
def draw_set(name):
    return getattr(zoo, name)(SEED, SIZES.get(name, SIZE))


@cache
def measure_peers(name):
    return benchmark.measure_peers(draw_set(name), SEED)


NAMES = [make.__name__ for make in zoo.ZOO]
CELLS = [(name, learner) for name in NAMES for learner in LEARNERS if not benchmark.is_refused(learner, draw_set(name))]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Limit BLAS and OpenMP to one thread, which is faster on small sets."""
    with threadpool_limits(1):
        yield


# -- the floor --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("name", "learner"), CELLS)
def test_learner_defaults_reach_the_floor(name, learner):
    variants = {DEFAULTS, UNREVIVED} & set(benchmark.list_variants(learner))
    figures = {variant: benchmark.measure(learner, variant, draw_set(name), SEED) for variant in variants}
    assert not benchmark.find_faults(learner, figures, measure_peers(name), draw_set(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_memory_defaults_reach_the_floor(name):
    assert not benchmark.find_memory_faults(benchmark.measure_memory(draw_set(name), SEED))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "learner"), [cell for cell in CELLS if draw_set(cell[0]).same_as])
def test_results_are_equal_for_scaled_data_and_other_dtypes(name, learner):
    data = draw_set(name)
    (base,) = (draw_set(other) for other in NAMES if draw_set(other).name == data.same_as)
    ours, theirs = (
        LEARNERS[learner](data.n_components, random_state=SEED).fit(X) for X in (data.X, base.X)
    )  # fmt: skip
    assert ours.score(data.X) == pytest.approx(theirs.score(base.X), abs=0.005)
    assert normalized_mutual_info_score(ours.labels_, theirs.labels_) > 0.98


# -- the zoo ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_sets_are_functions_of_seed_and_size(name):
    make = getattr(zoo, name)
    first, again, other = make(3, 0.05), make(3, 0.05), make(4, 0.05)
    assert [np.shape(one.X) for one in (first, again)] == 2 * [first.X.shape]
    dense = [one.X.toarray() if sparse.issparse(one.X) else one.X for one in (first, again, other)]
    np.testing.assert_array_equal(dense[0], dense[1])
    if not name.startswith("repeated_rows"):
        assert dense[0].shape != dense[2].shape or (dense[0] != dense[2]).any()
    if first.y is not None:
        np.testing.assert_array_equal(first.y, again.y)
        assert len(first.y) == first.X.shape[0]
    assert np.isfinite(dense[0]).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REAL and draw_set(name).y is not None])
def test_planted_groups_are_separated(name):
    X, y = benchmark.select_evaluation_rows(draw_set(name))
    Z = normalize(X)
    means = normalize(np.array([np.asarray(Z[y == group].mean(axis=0)).ravel() for group in np.unique(y)]))
    assert normalized_mutual_info_score(y, (Z @ means.T).argmax(axis=1)) > 0.95


def test_zoo_contains_every_kind_order_and_dtype():
    sets = [draw_set(name) for name in NAMES]
    assert len({data.name for data in sets}) == len(sets) >= 30
    assert {data.kind for data in sets} == {
        *("pixels", "patches", "text", "embeddings", "signals", "binary", "table", "stream")
    }
    assert {data.order for data in sets} == {"shuffled", "given", "stream"}
    assert {str(data.X.dtype) for data in sets} == {"float32", "float64", "uint8"}
    assert {np.sign(data.n_components - data.n_groups) for data in sets if data.n_groups} == {-1, 0, 1}
    assert zoo.clothing_1000(0, 1).n_components == 1000
    assert zoo.very_tall(0, 1).X.shape == (100_000, 3)


# -- the benchmark ----------------------------------------------------------------------------------------------------


def test_compute_explained_energy_equals_score_of_learners():
    data = draw_set("tfidf_balanced")
    model = KrotovHopfield(8, random_state=0).fit(data.X)
    energy = benchmark.compute_explained_energy(normalize(data.X), normalize(model.components_))
    assert energy == pytest.approx(model.score(data.X), abs=1e-9)


def test_refine_orthonormal_recovers_an_orthonormal_basis():
    Z = np.repeat(np.eye(6), [160, 20, 20, 20, 20, 20], axis=0)
    skewed = normalize(np.eye(6) + 0.3)
    basis = benchmark.refine_orthonormal(Z, skewed, 30)
    np.testing.assert_allclose(basis @ basis.T, np.eye(6), atol=1e-12)
    assert benchmark.compute_explained_energy(Z, basis) == pytest.approx(1)


def test_find_faults_reports_every_violation_of_the_floor():
    data = draw_set("repeated_rows")
    good = Figures(unused=0, score=0.9, nmi=0.9, ami=0.9, seconds=0)
    peers = {PEER: good, ORTHONORMAL: good._replace(score=0.7, unused=2)}

    def faults(learner="KrotovHopfield", unrevived=good, peers=peers, data=data, **changed):
        figures = {DEFAULTS: good._replace(**changed), UNREVIVED: unrevived}
        return benchmark.find_faults(learner, figures, peers, data)

    assert faults() == faults(score=0.881) == faults(nmi=0.851) == []
    assert faults(score=0.879) == ["score 0.879, revive=False 0.900", "score 0.879, peer 0.900"]
    assert faults(score=0.879, unrevived=good._replace(score=0.5)) == ["score 0.879, peer 0.900"]
    assert faults(nmi=0.849) == ["NMI 0.849, peer 0.900"]
    assert faults(unused=1, score=0.895) == []
    assert faults(unused=1, score=0.885) == ["1 of 6 components are unused"]
    low = good._replace(score=0.7, unused=1)
    assert faults("OrthogonalSparseCoding", score=0.69, unused=2, unrevived=low) == []
    assert faults("OrthogonalSparseCoding", score=0.69, unused=3, unrevived=low) == ["3 of 6 components are unused"]
    assert faults("OrthogonalSparseCoding", score=0.67, unrevived=low) == ["score 0.670, revive=False 0.700"]
    without_groups = {PEER: good, ORTHONORMAL: good._replace(nmi=0.0)}
    assert faults("OrthogonalSparseCoding", nmi=0.0, peers=without_groups) == []
    assert faults("InhibitedMixture", nmi=0.0, peers=without_groups) == ["NMI 0.000, peer 0.900"]
    nearest = Recall(10, 1, 1, 0.8, 0)
    for own, n_faults in (
        (nearest, 0),
        (nearest._replace(stored=0.9), 1),
        (nearest._replace(noisy=0.9, masked=0.7), 2),
    ):
        assert len(benchmark.find_memory_faults({"HopfieldMemory": own, benchmark.NEIGHBOURS: nearest})) == n_faults


def test_zoo_benchmark_writes_rows_and_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(codebooks, "warmup", lambda: None)
    monkeypatch.setattr(benchmark, "load_sets", lambda: zoo)
    monkeypatch.setattr(zoo, "ZOO", (zoo.unit_length, zoo.isotropic_noise, zoo.late_topics))
    benchmark.run(n_seeds=2, size=0.1)
    rows = report.read("zoo")
    learner_rows = [row for row in rows if "score" in row]
    assert len(learner_rows) == 3 * (3 * 3 + 2) + 1  # one set has counts, for MultinomialMixture
    assert len(rows) - len(learner_rows) == 3 * 2
    assert all(0 < row["score"] <= 1 for row in learner_rows if row["model"] != "MultinomialMixture")
    assert all(row["seconds"] > 0 for row in learner_rows)
    assert {row["data"] for row in learner_rows if row["NMI"] == ""} == {"noise"}
    assert "cells below the floor" in capsys.readouterr().out
    benchmark.run(n_seeds=1, size=0.1, names=["unit_length"])
    assert report.read("zoo") == rows  # results of some sets are only printed
