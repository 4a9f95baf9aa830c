import pickle
from itertools import combinations

import numpy as np
import pytest
from scipy import sparse
from scipy.cluster.hierarchy import cut_tree, is_monotonic, is_valid_linkage, linkage

from codebooks.interpret import Hierarchy, build_hierarchy, compute_topic_similarity


def word_distributions(n=9, n_words=30, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(n_words, 0.3), n)


def centroids(n=9, n_features=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n_features))


def compute_points(components):
    if (components < 0).any():
        return components / np.linalg.norm(components, axis=1, keepdims=True)
    return np.sqrt(components / components.sum(axis=1, keepdims=True))


def merge_from_scratch(points, sizes):
    """All groupings of Ward's method: each cost is the increase of the weighted sum of squares, computed anew."""
    weights = np.sqrt(np.maximum(sizes, 0.01 * np.mean(sizes)))
    weights /= weights.mean()

    def sum_of_squares(rows):
        mean = np.average(points[rows], axis=0, weights=weights[rows])
        return weights[rows] @ ((points[rows] - mean) ** 2).sum(axis=1)

    groups, levels, distances = [[k] for k in range(len(points))], {}, []
    levels[len(groups)] = sorted(groups)
    while len(groups) > 1:
        costs = {
            (i, j): sum_of_squares(groups[i] + groups[j]) - sum_of_squares(groups[i]) - sum_of_squares(groups[j])
            for i, j in combinations(range(len(groups)), 2)
        }
        i, j = min(costs, key=costs.get)
        distances.append(np.sqrt(2 * costs[i, j]))
        merged = sorted(groups[i] + groups[j])
        groups = [group for k, group in enumerate(groups) if k not in (i, j)] + [merged]
        levels[len(groups)] = sorted(groups)
    return levels, distances


@pytest.mark.parametrize("make", [word_distributions, centroids])
@pytest.mark.parametrize("seed", range(3))
def test_build_hierarchy_equals_merges_computed_from_scratch(make, seed):
    components, sizes = make(seed=seed), np.random.default_rng(seed).integers(0, 500, 9)
    hierarchy = build_hierarchy(components, sizes)
    levels, distances = merge_from_scratch(compute_points(components), sizes)
    assert {n: hierarchy.cut(n) for n in range(1, 10)} == levels
    np.testing.assert_allclose(hierarchy.linkage[:, 2], distances, rtol=1e-9)


def test_build_hierarchy_with_equal_sizes_equals_ward_of_scipy():
    components = word_distributions(60)
    mine, theirs = build_hierarchy(components, np.full(60, 7)).linkage, linkage(compute_points(components), "ward")
    np.testing.assert_allclose(mine[:, 2:], theirs[:, 2:])
    np.testing.assert_array_equal(np.sort(mine[:, :2]), theirs[:, :2])


def test_hierarchy_linkage_is_valid_for_scipy():
    hierarchy = build_hierarchy(word_distributions(50), np.arange(50) ** 2)
    assert is_valid_linkage(hierarchy.linkage)
    assert is_monotonic(hierarchy.linkage)
    for n in (1, 2, 17, 50):
        labels = cut_tree(hierarchy.linkage, n_clusters=n).ravel()
        assert hierarchy.cut(n) == [np.flatnonzero(labels == label).tolist() for label in dict.fromkeys(labels)]
    left, right = hierarchy.linkage[:, :2].astype(int).T
    assert (hierarchy.node_sizes[left] >= hierarchy.node_sizes[right]).all()


def test_build_hierarchy_does_not_depend_on_the_order_and_scale_of_rows():
    components, sizes = word_distributions(20), np.random.default_rng(0).integers(1, 500, 20)
    order = np.random.default_rng(1).permutation(20)
    factors = np.random.default_rng(2).uniform(0.1, 1e6, (20, 1))
    expected = build_hierarchy(components, sizes)
    permuted = build_hierarchy((factors * components)[order], 1e-3 * sizes[order], ids=order)
    np.testing.assert_allclose(permuted.linkage[:, 2], expected.linkage[:, 2])
    for n in range(1, 21):
        assert sorted(map(sorted, permuted.cut(n))) == expected.cut(n)


def test_common_words_do_not_make_topics_similar():
    common = np.tile([60, 40, 0, 0, 0, 0], (4, 1))
    own = np.array([[0, 0, 9, 6, 0, 0], [0, 0, 0, 0, 9, 6], [0, 0, 6, 9, 0, 0], [0, 0, 0, 0, 6, 9]])
    assert build_hierarchy(common + own, [1, 2, 3, 4]).cut(2) == [[0, 2], [1, 3]]
    similarity = compute_topic_similarity(common + own)
    assert similarity[0, 2] > 0.5
    assert similarity[1, 3] > 0.5
    assert similarity[:2, :2][0, 1] < 0


def test_small_topics_merge_before_large_ones_of_equal_similarity():
    assert build_hierarchy(np.eye(4), [1000, 10, 1000, 10]).cut(3) == [[0], [1, 3], [2]]


@pytest.mark.parametrize("make", [word_distributions, centroids])
def test_identical_topics_and_topics_without_documents_or_words(make):
    components = make(6)
    components[4] = 3 * components[1]
    components[5] = 0
    hierarchy = build_hierarchy(components, [5, 40, 3, 0, 20, 0])
    assert np.isfinite(hierarchy.linkage).all()
    assert hierarchy.cut(5)[1] == [1, 4]
    assert hierarchy.linkage[0, 2] == 0
    similarity = compute_topic_similarity(components, [5, 40, 3, 0, 20, 0])
    assert similarity[1, 4] == pytest.approx(1)
    np.testing.assert_array_equal(similarity, similarity.T)


@pytest.mark.parametrize("components", [np.ones((3, 4)), np.zeros((3, 4)), np.array([[1.0, 2], [2, 4], [3, 6]])])
@pytest.mark.parametrize("sizes", [[1, 2, 3], [0, 0, 0]])
def test_topics_that_are_all_equal(components, sizes):
    np.testing.assert_array_equal(build_hierarchy(components, sizes).linkage[:, 2], 0)
    np.testing.assert_array_equal(compute_topic_similarity(components, sizes), 1)


@pytest.mark.parametrize("component", [[0.2, 0.8], [-1.0, 2.0], [0.0, 0.0]])
def test_hierarchy_of_one_topic(component):
    hierarchy = build_hierarchy([component], [3], names=["goal"])
    assert hierarchy.cut(1) == [[0]]
    assert str(hierarchy) == "0 (3): goal"
    assert hierarchy.linkage.shape == (0, 4)
    assert len(hierarchy.to_frame()) == 0
    assert compute_topic_similarity([component]).tolist() == [[1.0]]


def test_build_hierarchy_of_extreme_values_and_types():
    components, sizes = word_distributions(), np.arange(9) + 1
    expected = build_hierarchy(components, sizes)
    for other in (1e307 * components, 1e-300 * components, sparse.csr_matrix(components), components.tolist()):
        result = build_hierarchy(other, 1e300 * sizes)
        np.testing.assert_allclose(result.linkage, expected.linkage, atol=1e-6)
    single = build_hierarchy(components.astype(np.float32), sizes)
    np.testing.assert_allclose(single.linkage, expected.linkage, atol=1e-5)


def test_compute_topic_similarity_equals_its_definition():
    components, sizes = word_distributions(5), np.array([1, 2, 3, 4, 0])
    directions = np.sqrt(components) - np.sqrt(sizes @ components / sizes.sum())
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(compute_topic_similarity(7 * components, sizes), directions @ directions.T)
    vectors = centroids(5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = unit - sizes @ unit / sizes.sum()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(compute_topic_similarity(vectors, sizes), directions @ directions.T)
    assert not np.allclose(compute_topic_similarity(components, metric="cosine"), compute_topic_similarity(components))


def example(**options):
    components = [[3, 1, 0, 0, 6], [0, 0, 2, 2, 6], [1, 3, 0, 0, 6], [0, 0, 3, 1, 6]]
    return build_hierarchy(components, [45, 20.5, 10, 30], names=["goal", "bank", "match", "loan"], **options)


def test_hierarchy_to_frame_has_a_row_for_each_merge():
    frame = example(ids=["g", "b", "m", "l"]).to_frame()
    assert frame["node"].tolist() == [4, 5, 6]
    assert frame["parent"].tolist() == [6, 6, -1]
    assert frame["n_groups"].tolist() == [3, 2, 1]
    assert frame["size"].tolist() == [50.5, 55, 105.5]
    assert frame["ids"].tolist() == [["b", "l"], ["g", "m"], ["g", "b", "m", "l"]]
    assert frame["name"].tolist() == ["loan / bank", "goal / match", "goal / loan"]
    assert frame[["left", "right"]].to_numpy().tolist() == [[3, 1], [0, 2], [5, 4]]


def test_hierarchy_to_frame_of_polars():
    pytest.importorskip("polars")
    assert example().to_frame("polars")["ids"].to_list()[0] == [1, 3]


def test_hierarchy_describe_names_merged_nodes():
    seen = []
    hierarchy = example(ids=list("gbml"), describe=lambda ids: seen.append(ids) or f"<{'+'.join(ids)}>")
    assert seen == [["b", "l"], ["g", "m"], ["g", "b", "m", "l"]]
    assert hierarchy.node_names == ("<b+l>", "<g+m>", "<g+b+m+l>")
    assert "├── <g+m> (55, 2 topics)\n│   ├── g (45): goal\n│   └── m (10): match\n└── <b+l> (50.5, 2 topics)\n" in str(
        hierarchy
    )
    assert "&lt;b+l&gt;" in hierarchy._repr_html_()


def test_hierarchy_names_of_merged_nodes_are_short():
    names = ["goal, match, player, team", "銀行" * 40, "", "x" * 99]
    hierarchy = build_hierarchy(word_distributions(4), [4, 3, 2, 1], names=names)
    assert all(len(name) <= 53 for name in hierarchy.node_names)
    assert any("goal, match, player… / " in name for name in hierarchy.node_names)
    assert max(map(len, str(hierarchy).splitlines())) < 110


def test_hierarchy_of_many_topics_in_a_chain():
    n = 1500  # above the recursion limit of Python
    linkage = np.column_stack([[0, *range(n, 2 * n - 2)], np.arange(1, n), np.arange(1, n), np.arange(2, n + 1)])
    hierarchy = Hierarchy(linkage.astype(float), tuple(range(n)), ("",) * n, np.ones(n), ("chain",) * (n - 1))
    assert len(str(hierarchy).splitlines()) < 200
    assert str(hierarchy).startswith("all (1,500, 1500 topics)\n├── ")
    assert hierarchy.leaf_order.tolist() == list(range(n))
    assert hierarchy.cut(3) == [[*range(n - 2)], [n - 2], [n - 1]]
    assert pickle.loads(pickle.dumps(hierarchy)).cut(7) == hierarchy.cut(7)


def test_hierarchy_text_shows_every_topic_once():
    lines = str(build_hierarchy(word_distributions(100), np.ones(100), ids=[f"id{k}" for k in range(100)])).splitlines()
    shown = [line.split()[-2] for line in lines if "topics)" not in line]
    assert sorted(shown) == sorted(f"id{k}" for k in range(100))
    assert all(line[:4] in ("├── ", "│   ", "└── ", "    ") for line in lines[1:])


@pytest.mark.parametrize("n", [0, 5, 2.0, True, None])
def test_hierarchy_cut_rejects_invalid_numbers(n):
    with pytest.raises(ValueError, match="`n_topics` must be"):
        example().cut(n)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.eye(3), [1, 2]), {}, "`sizes` must have one number for each of the 3 topics"),
        ((np.eye(3), [1, 2, -1]), {}, "`sizes` must be finite and >= 0"),
        ((np.eye(3), [1, 2, np.nan]), {}, "`sizes` must be finite and >= 0"),
        ((np.eye(3), ["a", 1, 2]), {}, "`sizes` must be a number for each topic"),
        ((np.eye(3), None), {}, "`sizes` must"),
        ((np.eye(3), [1, 2, 3]), {"names": ["a"]}, "`names` must have one entry for each of the 3 topics, got 1"),
        ((np.eye(3), [1, 2, 3]), {"names": "abc"}, "`names` must be a list"),
        ((np.eye(3), [1, 2, 3]), {"ids": [1, 1, 2]}, "`ids` must be different"),
        ((np.eye(3), [1, 2, 3]), {"describe": "name"}, "`describe` must be a function"),
        ((np.eye(3), [1, 2, 3]), {"metric": "ward"}, "`metric` must be 'auto', 'words' or 'cosine', got 'ward'"),
        ((-np.eye(3), [1, 2, 3]), {"metric": "words"}, "`components` must be >= 0"),
        (([[np.nan, 1]], [1]), {}, "finite"),
        (([1, 2], [1]), {}, "2D|2 dimensions"),
        (([], []), {}, "2D|at least"),
    ],
)
def test_build_hierarchy_rejects_invalid_arguments(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        build_hierarchy(*arguments, **options)
