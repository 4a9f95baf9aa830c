"""Words of components: the choice against a plain search, and its corners by hand."""

import tracemalloc

import numpy as np
import oracles
import pytest
from scipy import sparse

from codebooks.interpret import _labelling as naming
from codebooks.interpret._labelling import choose_words_by_documents, score_words_by_documents, select_largest

FORMATS = {
    "dense": np.asarray,
    "integers": lambda X: X.astype(np.int64),
    "csr": sparse.csr_matrix,
    "csc_array": sparse.csc_array,
    "float32": lambda X: sparse.csr_array(X.astype(np.float32)),
}
WORDS = list("abcdefghijklmnopqrstuvwxyz")


def incidence(documents):
    return np.array([[float(word in document) for word in WORDS] for document in documents])


def words(name):
    return "".join(WORDS[column] for column in name.columns)


def names(documents, labels, n_components, n):
    return [words(name) for name in choose_words_by_documents(incidence(documents), np.array(labels), n_components, n)]


def random_documents(n_words, seed=4):
    rng = np.random.default_rng(seed)
    X = rng.poisson(0.15 + 0.5 * rng.random(n_words) ** 3, (90, n_words)).astype(float)
    X[:, 7] = 0  # a word that nobody uses
    labels = rng.integers(-1, 4, 90)
    X[::4, 20:28:2] = 1  # words that always occur together,
    X[1::2, 20:28:2] = 0
    labels[::8] = 1  # in two components
    labels[4::8] = 2
    X[5] = 0  # an empty document
    return X, labels


@pytest.fixture
def documents():
    return random_documents(30)


def equal(found, expected):
    for name, wanted in zip(found, expected, strict=True):
        assert (name is None) == (wanted is None)
        if name is not None:
            assert name.columns.tolist() == wanted[1]
            np.testing.assert_allclose(name.scores, wanted[0][wanted[1]], rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 30])
@pytest.mark.parametrize("form", FORMATS)
def test_name_by_documents_equals_plain_search(documents, form, n):
    X, labels = documents
    equal(choose_words_by_documents(FORMATS[form](X), labels, 5, n), oracles.choose_words_by_documents(X, labels, 5, n))


@pytest.mark.parametrize("seed", range(5))
def test_name_by_documents_equals_plain_search_with_more_words_than_candidates(seed):
    X, labels = random_documents(80, seed)
    equal(choose_words_by_documents(X, labels, 5, 4), oracles.choose_words_by_documents(X, labels, 5, 4))


@pytest.mark.parametrize("other", [("n_rounds", 0), ("n_rounds", 1), ("weakness", 0), ("repetition", 0)])
def test_each_part_of_the_search_changes_the_result(documents, other):
    """The comparisons above would not see a part that changes no word."""
    X, labels = documents
    words = {
        n: [
            [name[1] for name in oracles.choose_words_by_documents(X, labels, 4, n, **how)]
            for how in ({}, dict([other]))
        ]
        for n in (2, 3, 5, 10)
    }
    assert any(found != changed for found, changed in words.values())


def test_score_by_documents_equals_plain_loops(documents):
    X, labels = documents
    np.testing.assert_allclose(score_words_by_documents(X, labels, 5), oracles.word_scores(X, labels, 5), rtol=1e-12)


def test_words_that_do_not_occur_with_the_others_are_replaced():
    """Of the words of component 0, x has the third highest score and meets none of a, b, c and d."""
    documents = [*["abcd"] * 6, *["ab"] * 2, *["x"] * 7, *["z"] * 15]
    labels = [0] * 15 + [1] * 15
    scores = score_words_by_documents(incidence(documents), np.array(labels), 2)[0]
    assert "".join(WORDS[w] for w in select_largest(scores, 5)) == "abxcd"
    assert names(documents, labels, 2, 4)[0] == "abcd"


def test_pairs_that_occur_together_often_enough_do_not_displace_a_better_word(monkeypatch):
    """Both a and x are better than y, which always occurs with x."""
    documents = [("a" if i < 33 else "") + ("x" if i >= 8 else "") + ("y" if i >= 14 else "") for i in range(40)]
    documents += ["z"] * 160
    labels = [0] * 40 + [1] * 160
    assert names(documents, labels, 2, 2)[0] == "ax"
    monkeypatch.setattr(naming, "_CEILING", 1.0)
    assert names(documents, labels, 2, 2)[0] == "xy"


def test_two_components_do_not_list_a_word_where_another_is_nearly_as_good():
    """Word s is the best of components 0 and 1, and each has two others of nearly its score."""

    def group(one, other):
        return ["s" + one * (i < 15) + other * (2 <= i < 17) for i in range(20)]

    documents = [*group("a", "b"), *group("c", "d"), *["z"] * 3960]
    labels = np.array([0] * 20 + [1] * 20 + [2] * 3960)
    scores = score_words_by_documents(incidence(documents), labels, 2)
    assert [WORDS[w] for w in scores.argmax(axis=1)] == ["s", "s"]
    first, second, _ = names(documents, labels, 3, 2)
    assert not set(first) & set(second)
    assert set(first) == set("ab")


@pytest.mark.parametrize("strong", [0, 1])
def test_two_components_share_a_word_without_alternatives(strong):
    """Without s each component would need a word that meets no other."""
    documents = [*["sa"] * 10, "b", *["sc"] * 10, "d", *["z"] * 80]
    labels = np.array([0] * 11 + [1] * 11 + [2] * 80)
    labels = np.where(labels < 2, labels ^ strong, labels)
    assert {*names(documents, labels, 3, 2)[:2]} == {"as", "cs"}


def test_components_with_the_same_documents_share_no_word_while_there_are_others():
    group = ["abcdefgh"] * 5 + ["abcdefg"] * 2
    found = names([*group, *group, *["z"] * 14], [0] * 7 + [1] * 7 + [2] * 14, 3, 4)
    assert len(found[0]) == len(found[1]) == 4
    assert not set(found[0]) & set(found[1])


def test_a_component_with_one_document_lists_its_words_the_rarest_first():
    found = names(["abc", "a", "ab", "a"], [0, 1, 1, 1], 2, 5)
    assert found == ["cb", "ab"]  # component 1 has no word more often than all documents have it


def test_a_component_that_wins_every_document_lists_words_by_their_share():
    X = incidence(["abc", "ab", "a", "abc"])
    np.testing.assert_array_equal(choose_words_by_documents(X, np.zeros(4, int), 1, 3)[0].scores, [1, 0.75, 0.5])


def test_component_without_documents_has_no_words_chosen():
    assert choose_words_by_documents(incidence(["ab", "c"]), np.array([0, 2]), 4, 3)[1::2] == [None, None]


def test_a_component_of_empty_documents_has_no_words():
    empty = choose_words_by_documents(incidence(["ab", "", ""]), np.array([0, 1, 1]), 2, 3)[1]
    assert len(empty.columns) == len(empty.scores) == 0


def test_ties_go_to_the_lower_column():
    assert names([*["abx"] * 3, *["cd"] * 3], np.repeat([0, 1], 3), 2, 2) == ["ab", "cd"]
    assert names([*["xwvu"] * 9, *["z"] * 9], np.repeat([0, 1], 9), 2, 3) == ["uvw", "z"]


def test_fewer_words_than_wanted():
    assert names(["ab", "ab", "cd", "cd"], [0, 0, 1, 1], 2, 10) == ["ab", "cd"]
    assert names(["ab", "ab", "cd", "cd"], [0, 0, 1, 1], 2, 1000) == ["ab", "cd"]


def test_rejected_documents_count_for_how_common_a_word_is_and_for_no_component():
    assert names(["ab", "ac", "b", "b"], [0, 0, -1, -1], 1, 3) == ["ac"]  # b is rarer in the component than in all


def test_words_are_in_the_order_of_their_scores(documents):
    X, labels = documents
    scores = oracles.word_scores(X, labels, 4)
    for name, row in zip(choose_words_by_documents(X, labels, 4, 6), scores, strict=True):
        assert (np.diff(name.scores) <= 1e-15).all()
        np.testing.assert_allclose(name.scores, row[name.columns], rtol=1e-12)


def test_long_lists_hold_the_words_of_highest_score(documents, monkeypatch):
    X, labels = documents
    monkeypatch.setattr(naming, "_LONGEST", 4)
    for name, row in zip(choose_words_by_documents(X, labels, 4, 5), oracles.word_scores(X, labels, 4), strict=True):
        assert name.columns.tolist() == select_largest(row, 5).tolist()
    equal(choose_words_by_documents(X, labels, 4, 4), oracles.choose_words_by_documents(X, labels, 4, 4))


@pytest.mark.parametrize("n", [2, 5])
def test_how_often_a_document_has_a_word_does_not_count(documents, n):
    X, labels = documents
    once = sparse.csr_matrix(X > 0, dtype=float)
    stored_zeros = sparse.csr_matrix(np.where(X > 0, X, 7.0))
    stored_zeros.data[X.ravel() == 0] = 0
    twice = sparse.csr_matrix((np.repeat(once.data, 2), np.repeat(once.indices, 2), once.indptr * 2), once.shape)
    assert stored_zeros.nnz == X.size
    assert twice.nnz == 2 * once.nnz
    expected = choose_words_by_documents(once, labels, 4, n)
    for other in (X * 3, stored_zeros, twice):
        for name, same in zip(choose_words_by_documents(other, labels, 4, n), expected, strict=True):
            np.testing.assert_array_equal(name.scores, same.scores)
            np.testing.assert_array_equal(name.columns, same.columns)


def test_memory_grows_with_the_entries_and_not_with_pairs_of_words():
    rng = np.random.default_rng(0)
    n_documents, n_words = 3000, 100_000
    columns = (n_words ** rng.random(n_documents * 20)).astype(int) - 1
    X = sparse.csr_matrix((np.ones(len(columns)), columns, np.arange(n_documents + 1) * 20), (n_documents, n_words))
    labels = rng.integers(0, 100, n_documents)
    choose_words_by_documents(X[:5], labels[:5], 100, 10)  # compiles
    tracemalloc.start()
    try:
        found = choose_words_by_documents(X, labels, 100, 10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(len(name.columns) == 10 for name in found)
    assert peak < 30 * 2**20


@pytest.mark.parametrize("form", FORMATS)
def test_documents_are_not_modified(documents, form):
    X, labels = documents
    given = FORMATS[form](X)
    if sparse.issparse(given):
        given.data[::3] = 0  # stored zeros
    parts = (given.data, given.indices, given.indptr) if sparse.issparse(given) else (given,)
    before = [part.copy() for part in parts]
    choose_words_by_documents(given, labels, 4, 5)
    for part, old in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, old)


def test_largest_equal_a_full_stable_sort():
    rng = np.random.default_rng(0)
    for n in (1, 4, 9, 20, 30):
        values = rng.integers(-2, 3, 20)
        assert select_largest(values, n).tolist() == sorted(range(20), key=lambda j, v=values: (-v[j], j))[:n]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_largest_values_that_differ_by_rounding_are_equal(dtype):
    eps = np.finfo(dtype).eps
    values = np.array([2 - 16 * eps, -1, 0, 2, -1 + 4 * eps, 2 - 8 * eps, 1.99], dtype)
    for n in range(1, 9):
        assert select_largest(values, n).tolist() == [0, 3, 5, 6, 2, 1, 4][:n]
    sloping = (1 - 40 * eps * np.arange(100)).astype(dtype)[::-1]  # each is near to the next, and yet not equal to it
    assert select_largest(sloping, 3).tolist() == [99, 98, 97]
