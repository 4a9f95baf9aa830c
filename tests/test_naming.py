"""Words for units: the rule against slow loops, and its corners by hand."""

import numpy as np
import oracles
import pytest
from scipy import sparse

from codebooks import naming
from codebooks.naming import largest, name_by_documents, name_by_weights

FORMATS = {
    "dense": np.asarray,
    "integers": lambda X: X.astype(np.int64),
    "csr": sparse.csr_matrix,
    "csc_array": sparse.csc_array,
    "float32": lambda X: sparse.csr_array(X.astype(np.float32)),
}
# The words a, b, c and d keep each other company in unit 0, and so do x and y, which never meet the four.
WORDS = list("abcdxyz")
MEETING = [*["abc"] * 4, *["abcd"] * 2, *["xy"] * 5, "adz", "az", *["z"] * 9]
WON = np.array([0] * 11 + [1] * 11)


def incidence(documents):
    return np.array([[float(word in document) for word in WORDS] for document in documents])


def words(name):
    return "".join(WORDS[column] for column in name.columns)


@pytest.fixture
def documents():
    rng = np.random.default_rng(4)
    X = rng.poisson(0.15 + 0.5 * rng.random(30) ** 3, (90, 30)).astype(float)
    X[:, 7] = 0  # a word that nobody uses
    X[5] = 0  # an empty document
    return X, rng.integers(-1, 4, 90)


@pytest.mark.parametrize("n", [1, 3, 5, 10, 30])
@pytest.mark.parametrize("form", FORMATS)
def test_equal_to_slow_loops(documents, form, n):
    X, labels = documents
    weights = np.random.default_rng(0).standard_normal((5, 30))
    found = name_by_documents(FORMATS[form](X), labels, weights, n)
    expected = oracles.name_by_documents(X, labels, 5, n)
    for unit in range(4):
        np.testing.assert_allclose(found[unit].scores, expected[unit][0], rtol=1e-12, atol=1e-15)
        assert found[unit].columns.tolist() == expected[unit][1]
    assert expected[4] is None  # wins no document, so its weights speak
    np.testing.assert_array_equal(found[4].scores, weights[4])
    np.testing.assert_array_equal(found[4].columns, name_by_weights(weights, n)[4].columns)


def test_those_documents_put_words_off(documents):
    """The comparison above would not see the rule of company if no word ever had to wait."""
    X, labels = documents
    named = name_by_documents(X, labels, np.ones((4, 30)), 10)
    assert any(name.columns.tolist() != largest(name.scores, 10).tolist() for name in named)


def test_a_word_that_never_meets_the_others_has_to_wait():
    X = incidence(MEETING)
    name = name_by_documents(X, WON, np.ones((2, 7)), 4)[0]
    scores = dict(zip(WORDS, name.scores, strict=True))
    assert scores["x"] > scores["d"] > 0  # by its score x would come first
    assert words(name) == "bcad"
    assert [words(name_by_documents(X, WON, np.ones((2, 7)), n)[0]) for n in (3, 5, 6, 7)] == [
        "bca",
        "bcadx",
        "bcadxy",
        "bcadxy",  # z is in no document of the unit
    ]


@pytest.mark.parametrize(
    ("documents", "by_score", "expected"),
    [
        (["abcd"] * 6 + ["abcy"] * 2 + ["abcdx"], "abcdyx", "abcdxy"),  # y never meets d
        (["abcdx"] * 6 + ["abcdy"] * 2 + ["abcdxz"], "abcdxyz", "abcdxyz"),  # y never meets x
    ],
    ids=["three of four", "four of five"],
)
def test_four_fifths_are_company_enough(documents, by_score, expected):
    X, labels = incidence([*documents, "", ""]), np.array([0] * len(documents) + [-1] * 2)
    name = name_by_documents(X, labels, np.ones((1, 7)), 7)[0]
    assert "".join(WORDS[column] for column in largest(name.scores, len(by_score))) == by_score
    assert words(name) == expected


@pytest.mark.parametrize(("n_alone", "second"), [(6, 1), (7, 2)])
def test_only_the_first_candidates_may_take_the_place_of_one_that_waits(n_alone, second):
    """For two words eight are looked at. Word 1 alone meets word 0, and comes after all that stand alone."""
    unit = [[1, 1] + [0] * n_alone, [1, 0] + [0] * n_alone, [1, 0] + [0] * n_alone]
    unit += [[0, 0, *row] for row in np.eye(n_alone).tolist() for _ in range(3)]
    X = np.array([*unit, [0.0] * (n_alone + 2)])
    name = name_by_documents(X, np.array([0] * len(unit) + [-1]), np.ones((1, n_alone + 2)), 2)[0]
    assert largest(name.scores, n_alone + 2).tolist() == [0, *range(2, n_alone + 2), 1]
    assert name.columns.tolist() == [0, second]


def test_ties_go_to_the_lower_column():
    X = incidence(["abx"] * 3 + ["cd"] * 3)
    first, second = name_by_documents(X, np.repeat([0, 1], 3), np.ones((2, 7)), 2)
    assert (words(first), words(second)) == ("ab", "cd")


def test_fewer_words_than_wanted():
    X = incidence(["ab", "ab", "cd", "cd"])
    found = name_by_documents(X, np.array([0, 0, 1, 1]), np.ones((2, 7)), 10)
    assert [words(name) for name in found] == ["ab", "cd"]


def test_units_that_win_only_empty_documents_have_no_words():
    X = incidence(["ab", "", ""])
    empty = name_by_documents(X, np.array([0, 1, 1]), np.ones((2, 7)), 3)[1]
    assert len(empty.columns) == 0
    np.testing.assert_array_equal(empty.scores, 0)


def test_rejected_documents_count_for_how_common_a_word_is_and_for_no_unit():
    X = incidence(["ab", "ac", "b", "b"])
    name = name_by_documents(X, np.array([0, 0, -1, -1]), np.ones((1, 7)), 3)[0]
    assert words(name) == "ac"  # b is rarer in the unit than in all


@pytest.mark.parametrize("n", [2, 5])
def test_how_often_a_document_has_a_word_does_not_count(documents, n):
    X, labels = documents
    X = X[labels >= 0]
    labels = labels[labels >= 0]
    once = sparse.csr_matrix(X > 0, dtype=float)
    stored_zeros = sparse.csr_matrix(np.where(X > 0, X, 7.0))
    stored_zeros.data[X.ravel() == 0] = 0
    twice = sparse.csr_matrix((np.repeat(once.data, 2), np.repeat(once.indices, 2), once.indptr * 2), once.shape)
    assert stored_zeros.nnz == X.size
    assert twice.nnz == 2 * once.nnz
    expected = name_by_documents(once, labels, np.ones((4, 30)), n)
    for other in (X * 3, stored_zeros, twice):
        for name, same in zip(name_by_documents(other, labels, np.ones((4, 30)), n), expected, strict=True):
            np.testing.assert_array_equal(name.scores, same.scores)
            np.testing.assert_array_equal(name.columns, same.columns)


@pytest.mark.parametrize("form", FORMATS)
def test_documents_are_left_alone(documents, form):
    X, labels = documents
    given = FORMATS[form](X)
    if sparse.issparse(given):
        given.data[::3] = 0  # stored zeros
    parts = (given.data, given.indices, given.indptr) if sparse.issparse(given) else (given,)
    before = [part.copy() for part in parts]
    name_by_documents(given, labels, np.ones((4, 30)), 5)
    for part, old in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, old)


def test_largest_equal_a_full_stable_sort():
    rng = np.random.default_rng(0)
    for n in (1, 4, 9, 20, 30):
        values = rng.integers(-2, 3, 20)
        assert largest(values, n).tolist() == sorted(range(20), key=lambda j, v=values: (-v[j], j))[:n]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_largest_values_that_differ_by_rounding_are_equal(dtype):
    eps = np.finfo(dtype).eps
    values = np.array([2 - 16 * eps, -1, 0, 2, -1 + 4 * eps, 2 - 8 * eps, 1.99], dtype)
    for n in range(1, 9):
        assert largest(values, n).tolist() == [0, 3, 5, 6, 2, 1, 4][:n]
    sloping = (1 - 40 * eps * np.arange(100)).astype(dtype)[::-1]  # each is near to the next, and yet not equal to it
    assert largest(sloping, 3).tolist() == [99, 98, 97]


def test_only_words_with_a_score_are_sorted(documents, monkeypatch):
    X, labels = documents
    sorted_, largest = [], naming.largest

    def noted(values, n):
        sorted_.append(values)
        return largest(values, n)

    monkeypatch.setattr(naming, "largest", noted)
    named = name_by_documents(np.hstack([X, np.zeros_like(X)]), labels, np.zeros((5, 60)), 3)
    wanted = name_by_documents(X, labels, np.zeros((5, 30)), 3)
    assert [name.columns.tolist() for name in named] == [name.columns.tolist() for name in wanted]
    assert len(sorted_) == 10
    assert all((values > 0).all() for values in sorted_)
