"""Input validation: accepted types and their converted form, rejected types and their errors."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from damaged import DAMAGED
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

import codebooks
from codebooks.metrics import diversity_scorer, isoscore, npmi, npmi_scorer, redundancy
from codebooks.validation.arrays import (
    check_count,
    check_embeddings,
    check_input,
    check_labels,
    check_matrix,
    check_targets,
)
from codebooks.validation.ids import check_ids
from codebooks.validation.texts import check_count_matrix, check_texts


def test_memory_is_shared_where_the_form_allows():
    dense = np.ones((3, 2), np.float32)
    assert np.shares_memory(check_input(PCA(), dense, reset=True), dense)
    csr = sparse.csr_matrix(dense)
    assert np.shares_memory(check_input(PCA(), csr, reset=True).data, csr.data)
    fortran = np.asfortranarray(np.ones((3, 2)))
    assert np.shares_memory(check_input(PCA(), fortran, reset=True), fortran)


@pytest.mark.parametrize("kind", [sparse.csc_matrix, sparse.coo_array, sparse.lil_matrix])
def test_other_formats_become_csr(kind):
    X = np.arange(6.0).reshape(3, 2)
    checked = check_input(PCA(), kind(X), reset=True)
    assert checked.format == "csr"
    np.testing.assert_array_equal(checked.toarray(), X)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, bool, np.float16])
def test_other_numbers_become_float64(dtype):
    assert check_input(PCA(), np.eye(2).astype(dtype), reset=True).dtype == np.float64


def test_attributes_are_restored_after_an_error():
    estimator = PCA()
    check_input(estimator, np.ones((3, 2)), reset=True)
    pandas = pytest.importorskip("pandas")
    for bad in (np.zeros((3, 5)), pandas.DataFrame({"a": [np.nan], "b": [1.0], "c": [2.0]})):
        with pytest.raises(ValueError):
            check_input(estimator, bad, reset=True)
        assert estimator.n_features_in_ == 2
        assert not hasattr(estimator, "feature_names_in_")


def test_all_zero_rows_are_accepted_by_a_fitted_model():
    estimator = PCA()
    check_input(estimator, np.ones((3, 2)), reset=True)
    np.testing.assert_array_equal(check_input(estimator, np.zeros((1, 2)), reset=False), [[0, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_whose_squares_overflow_are_rejected(dtype):
    largest = np.sqrt(np.finfo(dtype).max / 4) / 4
    X = np.full((2, 2), 0.99 * largest, dtype)
    checked = check_input(PCA(), X, reset=True)
    assert np.isfinite((checked * checked).sum())
    with pytest.raises(ValueError, match="squares would overflow"):
        check_input(PCA(), np.full((2, 2), 1.01 * largest, dtype), reset=True)


def test_tiny_values_are_accepted():
    X = np.full((3, 2), 1e-30)
    np.testing.assert_array_equal(check_input(PCA(), X, reset=True), X)


@pytest.mark.parametrize(("dtype", "too_small", "fine"), [(np.float32, 3e-23, 4e-23), (np.float64, 2e-162, 3e-162)])
@pytest.mark.parametrize("kind", [np.array, sparse.csr_matrix])
@pytest.mark.parametrize("reset", [True, False])
def test_values_whose_squares_underflow_are_rejected(reset, kind, dtype, too_small, fine):
    estimator = PCA()
    check_input(estimator, np.ones((3, 2)), reset=True)
    X = kind(np.array([[1, -1], [0.5, 0]], dtype))
    with pytest.raises(ValueError, match=r"at least .*, got .* underflow .*Scale the data"):
        check_input(estimator, X * dtype(too_small), reset=reset)
    assert check_input(estimator, X * dtype(fine), reset=reset).dtype == dtype


# -- sparse matrices whose index arrays do not match their shape -------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_damaged_sparse_matrix_is_rejected(damage):
    for check in (lambda X: check_input(PCA(), X, reset=True), lambda X: check_matrix("PCA", X)):
        with pytest.raises(ValueError, match=r"PCA (expected a (sparse matrix with valid indices|matrix with 2))"):
            check(damage())


def with_column_99():
    X = sparse.csr_matrix(np.tile(np.eye(4), (2, 1)))
    X.indices = np.where(np.arange(8) == 5, 99_999, X.indices)
    return X


FITTED = np.tile(np.eye(4), (2, 1))
WORDS = ["a", "b", "c", "d"]
READERS = {
    **{
        f"{name}.{method}": (
            lambda X, name=name, method=method: getattr(
                getattr(codebooks, name)().fit(FITTED, [0, 1, 2, 3] * 2), method
            )(X)
        )
        for name, methods in {
            "InhibitedMixture": ["fit", "partial_fit", "transform", "predict", "score", "inverse_transform"],
            "KrotovHopfield": ["fit", "partial_fit", "transform", "predict", "score", "inverse_transform"],
            "MultinomialMixture": [
                *("fit", "partial_fit", "transform", "predict", "score", "perplexity", "inverse_transform")
            ],
            "OrthogonalSparseCoding": ["fit", "partial_fit", "transform", "predict", "score", "inverse_transform"],
            "HopfieldMemory": ["fit", "partial_fit", "transform", "predict", "recall", "kneighbors", "energy", "score"],
            "BM25Transformer": ["fit", "partial_fit", "transform"],
        }.items()
        for method in methods
        if hasattr(getattr(codebooks, name), method)
    },
    "HopfieldRetriever.fit": lambda X: codebooks.HopfieldRetriever().fit(X),
    "HopfieldRetriever.add": lambda X: codebooks.HopfieldRetriever().fit(FITTED).add(X),
    "HopfieldRetriever.search": lambda X: codebooks.HopfieldRetriever().fit(FITTED).search(X),
    "HopfieldRetriever.transform": lambda X: codebooks.HopfieldRetriever().fit(FITTED).transform(X),
    "topics": lambda X: codebooks.topic_words(codebooks.KrotovHopfield().fit(FITTED), X, feature_names=WORDS),
    "topics of KMeans": lambda X: codebooks.topic_words(KMeans(2, n_init=1).fit(FITTED), X, feature_names=WORDS),
    "topics, codes": lambda X: codebooks.topic_words(
        codebooks.KrotovHopfield().fit(FITTED), FITTED, feature_names=WORDS, labels=X
    ),
    "top_documents": lambda X: codebooks.representative_documents(KMeans(2, n_init=1).fit(FITTED), X),
    "rank_documents": lambda X: codebooks.rank_documents(KMeans(2, n_init=1).fit(FITTED), X, 0),
    "expand": lambda X: codebooks.expand(codebooks.KrotovHopfield().fit(FITTED), X, feature_names=WORDS),
    "suggest": lambda X: codebooks.suggest(X, [0]),
    "choose_n_components": lambda X: codebooks.choose_n_components(codebooks.KrotovHopfield(), X, [2]),
    "npmi": lambda X: npmi([[0, 1]], X),
    "npmi_scorer": lambda X: npmi_scorer(KMeans(2, n_init=1).fit(FITTED), X),
    "diversity_scorer": lambda X: diversity_scorer(KMeans(2, n_init=1).fit(FITTED), X),
}


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample", "ignore:The gates")
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_every_method_rejects_a_damaged_sparse_matrix(read):
    with pytest.raises(ValueError, match=r"expected a sparse matrix with valid indices, got csr_matrix .* 99999"):
        read(with_column_99())


def test_duplicate_entries_are_added_before_they_can_overflow():
    zeros, ones = np.zeros(300, int), np.ones(300, np.int8)
    coo = sparse.coo_matrix((ones, (zeros, zeros)), shape=(2, 2))
    csr = sparse.csr_matrix((ones, zeros, [0, 300, 300]), shape=(2, 2))
    for X in (coo, csr):
        for checked in (check_input(PCA(), X, reset=True), check_matrix("PCA", X)):
            np.testing.assert_array_equal(checked.toarray(), [[300, 0], [0, 0]])
    bools = sparse.coo_matrix((ones.astype(bool), (zeros, zeros)), shape=(2, 2))
    np.testing.assert_array_equal(check_input(PCA(), bools, reset=True).toarray(), bools.toarray())


def test_sparse_matrix_changed_after_its_canonical_format_was_cached():
    X = sparse.csr_matrix([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    assert X.has_canonical_format
    X.indices[1] = 0  # a duplicate entry; the cached flag is now wrong
    np.testing.assert_array_equal(check_input(PCA(), X, reset=True).toarray(), [[3, 0, 0], [0, 0, 3]])
    assert X.nnz == 3
    longer = sparse.csr_matrix([[1.0, 2.0]])
    longer.data, longer.indices = np.array([1.0, 2.0, np.nan]), np.array([0, 1, -7], np.int32)  # the last is not used
    np.testing.assert_array_equal(check_input(PCA(), longer, reset=True).toarray(), [[1, 2]])


@pytest.mark.parametrize(
    "kind", ["csr_matrix", "csr_array", "csc_matrix", "csc_array", "coo_array", "lil_array", "dok_array"]
)
@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.longdouble, bool, np.float32])
def test_other_numbers_in_sparse_matrices(kind, dtype):
    X = np.array([[1, 0, 1], [0, 1, 0]], dtype)
    checked = check_input(PCA(), getattr(sparse, kind)(X), reset=True)
    assert checked.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_array_equal(checked.toarray(), X)


# -- other kinds of numbers ------------------------------------------------------------------------------------------


ONES = np.ones((2, 2))
DATES = np.array([["2020-01-01", "2020-01-02"]] * 2, "M8[D]")
OBJECT = {"dtype": object}
OTHER_NUMBERS = {
    "a masked array": (np.ma.array(ONES, mask=[[0, 1], [0, 0]]), TypeError, "MaskedArray of float64 shape .* X.filled"),
    "a masked array without a mask": (np.ma.array(ONES), TypeError, "X.filled"),
    "masked rows": (list(np.ma.array(ONES, mask=[[0, 1], [0, 0]])), TypeError, "X.filled"),
    "a masked entry": (np.array([[1, np.ma.masked]], **OBJECT), TypeError, "MaskedConstant"),
    "dates": (DATES, TypeError, r"got ndarray of datetime64\[D\] shape \(2, 2\)"),
    "lists of dates": (DATES.tolist(), TypeError, "datetime.date"),
    "lists of NumPy's dates": (list(DATES), TypeError, r"datetime64\[D\]"),
    "durations": (DATES - DATES.T, TypeError, r"timedelta64\[D\]"),
    "dates among numbers": (np.array([[DATES[0, 0], 1]], **OBJECT), TypeError, "datetime64"),
    "Python's dates": ([[datetime.date(2020, 1, 1), 2.0]], TypeError, "datetime.date"),
    "complex": (ONES + 1j, ValueError, "Complex data not supported. Use X.real"),
    "complex lists": ([[1j, 2]], ValueError, "Complex data not supported"),
    "complex objects": (np.array([[np.complex128(1j), 2]], **OBJECT), TypeError, "complex128"),
    "sparse complex": (sparse.csr_matrix(ONES + 1j), ValueError, "Complex data not supported"),
    "mixed objects": (np.array([[1, "a"]], **OBJECT), ValueError, "could not convert string to float"),
    "dictionaries": (np.array([[1, {}]], **OBJECT), TypeError, "not 'dict'"),
    "too large": ([[10**400, 1]], ValueError, "too large"),
    "too large a longdouble": (np.array([[np.longdouble("1e4000"), 1]]), ValueError, "infinity"),
    "None": ([[1.0, None]], ValueError, "NaN"),
    "ragged": ([[1, 2], [3]], ValueError, "inhomogeneous"),
    "a structured array": (np.zeros(2, [("a", int), ("b", float)]), TypeError, "structured_to_unstructured"),
    "a matrix": (np.asmatrix(ONES), TypeError, r"numpy.asarray\(X\)"),
    "bytes": ([b"some text", b"more text"], TypeError, "got text"),
    "void": (np.zeros((2, 2), "V2"), TypeError, "expected a matrix of real numbers"),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("kind", OTHER_NUMBERS)
def test_other_types_than_real_numbers_are_rejected(kind):
    X, error, words = OTHER_NUMBERS[kind]
    checks = [lambda: check_input(PCA(), X, reset=True), lambda: check_matrix("PCA", X)]
    if not sparse.issparse(X):
        checks.append(lambda: check_embeddings(PCA(), X))
    for check in checks:
        with pytest.raises(error, match=words):
            check()


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (np.array([[1, "2"]], **OBJECT), [[1, 2]]),
        ([[Decimal(1), Fraction(1, 2)]], [[1, 0.5]]),
        ([[10**30, 1]], [[1e30, 1]]),
        ([["1", "2.5"]], [[1, 2.5]]),
        (np.array([[2**64 - 1, 1]], np.uint64), [[2.0**64, 1]]),
        (np.array([[-128, 127]], np.int8), [[-128, 127]]),
        (np.array([[1.5, 2]], np.longdouble), [[1.5, 2]]),
        (np.array([[65504.0, 1]], np.float16), [[65504, 1]]),
        (memoryview(ONES), ONES),
    ],
)
def test_numbers_of_other_types_are_converted(X, expected):
    checked = check_input(PCA(), X, reset=True)
    assert checked.dtype == np.float64
    np.testing.assert_array_equal(checked, expected)


def test_columns_of_tables():
    pd = pytest.importorskip("pandas")
    dates = pd.to_datetime(["2020-01-01", "2021-01-01"])
    for column, words in [
        (dates, "'when' is of datetime64"),
        (dates.tz_localize("UTC"), "'when' is of datetime64"),
        (pd.Categorical(dates), "'when' is of datetime64"),
        (pd.to_timedelta([1, 2]), "'when' is of timedelta64"),
        (pd.period_range("2020", periods=2, freq="D"), "'when' is of period"),
        (pd.Categorical(["x", "y"]), "'when' is of .*OneHotEncoder"),
        (["x", "y"], "'when' is of .*OneHotEncoder"),
        ([1j, 2], "'when' is of complex128"),
    ]:
        frame = pd.DataFrame({"n": [1.0, 2.0], "when": column})
        for check in (lambda X: check_input(PCA(), X, reset=True), lambda X: check_matrix("PCA", X)):
            with pytest.raises((TypeError, ValueError), match=words):
                check(frame)
    with pytest.raises(ValueError, match="at least one column"):
        check_matrix("PCA", pd.DataFrame())
    frame = pd.DataFrame({"a": pd.array([1, 2], dtype="Int64"), "b": pd.Categorical([3, 1]), "c": ["4", "5"]})
    np.testing.assert_array_equal(check_input(PCA(), frame, reset=True), [[1, 3, 4], [2, 1, 5]])
    with pytest.raises(ValueError, match="NaN"):
        check_matrix("PCA", pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}))


class Tensor:
    """The attributes of a torch tensor that validation reads, without torch."""

    __module__ = "torch"

    def __init__(self, device="cpu", layout="torch.strided", requires_grad=False, dtype="torch.float32"):
        self.device = type("device", (), {"type": device})
        self.layout, self.requires_grad, self.dtype, self.shape = layout, requires_grad, dtype, (2, 2)

    def detach(self):
        return self

    def numpy(self):
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return ONES

    def __array__(self, dtype=None, copy=None):
        return ONES


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dtype": "torch.bfloat16"}, r"got Tensor of torch.bfloat16 shape \(2, 2\).* Use X.float\(\)"),
        ({"requires_grad": True}, r"Use X.detach\(\)"),
        ({"device": "meta"}, "contains no numbers"),
        ({"device": "cuda"}, r"Use X.cpu\(\)"),
        ({"layout": "torch.sparse_coo"}, r"Use X.to_dense\(\)"),
    ],
)
def test_tensors_that_numpy_cannot_read(settings, words):
    for check in (lambda X: check_input(PCA(), X, reset=True), lambda X: check_embeddings(PCA(), X)):
        with pytest.raises(TypeError, match=words):
            check(Tensor(**settings))
    with pytest.raises(TypeError, match=r"torch.stack\(X\)"):
        check_matrix("PCA", [Tensor(), Tensor()])
    np.testing.assert_array_equal(check_input(PCA(), Tensor(), reset=True), ONES)


def test_metrics_reject_masked_arrays():
    masked = np.ma.array(ONES, mask=True)
    for measure in (redundancy, isoscore):
        with pytest.raises(TypeError, match="MaskedArray"):
            measure(masked)
    with pytest.raises(TypeError, match="MaskedArray"):
        check_labels("y", np.ma.array([1, 2], mask=[0, 1]))


# -- text instead of numbers ---------------------------------------------------------------------------------


TEXTS = {
    "a string": lambda texts: texts[0],
    "a list": list,
    "a tuple": tuple,
    "an array": np.array,
    "no array": lambda texts: np.array(texts[0]),
    "objects": lambda texts: np.array(texts, dtype=object),
    "a column": lambda texts: pytest.importorskip("pandas").Series(texts, index=[7, 8]),
    "a table": lambda texts: pytest.importorskip("pandas").DataFrame(texts, index=[7, 8]),
    "two columns": lambda texts: pytest.importorskip("pandas").DataFrame({"title": texts, "text": texts}),
}


@pytest.mark.parametrize("form", TEXTS.values(), ids=TEXTS)
def test_text_in_any_form_is_rejected(form):
    for check in (lambda X: check_input(PCA(), X, reset=True), lambda X: check_matrix("PCA", X)):
        with pytest.raises(TypeError, match=r"PCA expected a matrix of numbers, got text. Add a vectorizer"):
            check(form(["some text", "more text"]))


def test_numbers_given_as_strings_are_converted():
    wanted = [[1.0, 2.5], [3.0, 4.0]]
    strings = [["1", "2.5"], ["3", "4"]]
    pandas = pytest.importorskip("pandas")
    for X in (strings, np.array(strings), pandas.DataFrame(strings)):
        np.testing.assert_array_equal(check_input(PCA(), X, reset=True), wanted)
    with pytest.raises(ValueError, match="could not convert string"):
        check_input(PCA(), pandas.DataFrame({"city": ["Rome", "Bern"], "n": [1, 2]}), reset=True)


# -- labels ----------------------------------------------------------------------------------------------------------


def missing_labels():
    pandas = pytest.importorskip("pandas")
    nan = float("nan")
    objects = {"dtype": object}
    return [
        ["a", nan, "b"],
        ["a", None, "b"],
        [1, None, 2],
        [1.5, nan, 2.5],
        np.array([1.5, nan, 2.5], **objects),
        np.array(["a", nan, "b"], **objects),
        np.array([Decimal(1), Decimal("nan"), Decimal(2)], **objects),
        np.array([1, pandas.NA, 2], **objects),
        np.array(["a", pandas.NaT, "b"], **objects),
        np.array(["2020-01-01", "NaT", "2020-01-02"], "M8[D]"),
        pandas.Series(["a", None, "b"]),
        pandas.Series(["a", None, "b"], dtype="string"),
        pandas.Series([1, None, 2], dtype="Int64"),
        pandas.Categorical(["a", None, "b"]),
        np.array([[1, 2], [np.nan, 1], [1, 1]]),
    ]


@pytest.mark.parametrize("case", range(15))
def test_missing_labels_are_rejected(case):
    y = missing_labels()[case]
    with pytest.raises(ValueError, match=r"a label or a number for each row, got .* in row 1\. Remove"):
        check_targets(PCA(), y, 3)


@pytest.mark.parametrize("y", [["a", 1, "b"], np.array(["a", 1, "b"], object), [b"a", "b", "c"], [True, "b", "c"]])
def test_labels_of_two_types_are_rejected(y):
    with pytest.raises(TypeError, match=r"labels of one type, all numbers or all strings, got .* and strings"):
        check_targets(PCA(), y, 3)


@pytest.mark.parametrize(
    "y",
    [
        ["a", "nan", "None"],
        np.array(["a", "b", "c"], object),
        [1, 2, True],
        np.array([1, 2.5, np.float32(3)], object),
        [1.5, 2.5, 3.5],
        np.array(["2020-01-01"] * 3, "M8[D]"),
        [[1, 2], [3, 4], [5, 6]],
        np.array([np.bool_(True), 1, 2], object),
    ],
)
def test_valid_labels_are_returned_as_a_numpy_array(y):
    checked, wanted = check_targets(PCA(), y, 3), np.asarray(y)
    assert checked.dtype == wanted.dtype
    np.testing.assert_array_equal(checked, wanted)
    assert not np.shares_memory(checked, wanted)


def test_targets_of_another_shape_or_infinite_are_rejected():
    with pytest.raises(ValueError, match=r"got y of shape \(\)"):
        check_targets(PCA(), sparse.csr_matrix(np.eye(3)), 3)
    with pytest.raises(ValueError, match="finite targets, got infinity"):
        check_targets(PCA(), [1.0, np.inf], 2)
    assert check_labels("y", []).shape == (0,)


# -- counts, texts and ids -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 2.5, 2.0, None, "3", True, np.nan, [1]])
def test_check_count_rejects_other_values_than_positive_integers(value):
    with pytest.raises(ValueError, match=r"`n` must be an integer >= 1, got .*"):
        check_count("n", value)
    with pytest.raises(ValueError, match=">= 2, got 1"):
        check_count("n", 1, least=2)
    check_count("n", np.int8(1))
    check_count("n", 2, least=2)


@pytest.mark.parametrize(
    ("documents", "received"),
    [
        ({"a": "tree"}, "dict"),
        ({"a tree"}, "set"),
        (np.array("a tree"), r"ndarray of shape \(\)"),
        (np.array([["a tree"]]), r"ndarray of shape \(1, 1\)"),
        (sparse.csr_matrix((2, 2)), r"csr_matrix of shape \(2, 2\)"),
    ],
)
def test_check_texts_rejects_sets_and_matrices(documents, received):
    with pytest.raises(TypeError, match=f"search expected a list of texts, got {received}. .* table\\['text'\\]"):
        check_texts(documents, "search")


def test_check_texts_rejects_a_data_frame_and_accepts_a_column():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"id": [1, 2], "text": ["a tree", "a sea"]})
    with pytest.raises(TypeError, match=r"fit expected a list of texts, got DataFrame of shape \(2, 2\)"):
        check_texts(table, "fit")
    assert check_texts(table["text"], "fit") == ["a tree", "a sea"]
    assert check_texts((text for text in ["a", "b"]), "fit") == ["a", "b"]


def test_counts_beyond_float32_are_rejected():
    with pytest.raises(ValueError, match=r"below 3.4e38 \(float32\), got 1.0e\+39"):
        check_count_matrix(np.array([[1e39, 1.0]]))


def test_counts_are_copied():
    given = sparse.csr_matrix((np.ones(3, np.float32), [2, 0, 1], [0, 2, 3]), shape=(2, 3))
    checked = check_count_matrix(given)
    checked.sort_indices()
    assert given.indices.tolist() == [2, 0, 1]
    np.testing.assert_array_equal(checked.toarray(), given.toarray())


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([0, 2**63 - 1], "at most 9223372036854775806, got 9223372036854775807"),
        (np.array([0, 2**63], np.uint64), "at most"),
        ([0, 2**64], "at most"),
        ([-(2**64), 0], "integers >= 0"),
        (["a", ""], "non-empty strings"),
        (["a", 1], "2 integers or 2 strings"),
        (["a", None], "2 integers or 2 strings"),
        (np.array(["a", 1], object), "2 integers or 2 strings"),
        ([True, False], "2 integers or 2 strings"),
        (np.array([True, False], object), "2 integers or 2 strings"),
        ([0.5, 1.5], "2 integers or 2 strings"),
        (np.array(["a", "a"], object), "occur twice: a"),
    ],
)
def test_invalid_ids_are_rejected(ids, words):
    with pytest.raises(ValueError, match=words):
        check_ids(ids, 2, 0)


def test_ids_in_arrays_of_objects_are_converted():
    pandas = pytest.importorskip("pandas")
    for ids in (np.array(["a", "bb"], object), pandas.Series(["a", "bb"]), ["a", "bb"]):
        found = check_ids(ids, 2, 0)
        assert found.dtype == "<U2"
        assert found.tolist() == ["a", "bb"]
    for ids in (np.array([7, 3], object), pandas.Series([7, 3]), np.array([7, 3], np.uint8), [7, 3]):
        found = check_ids(ids, 2, 0)
        assert found.dtype == np.int64
        assert found.tolist() == [7, 3]


def test_ids_beyond_int64_are_rejected():
    last = 2**63 - 2
    assert check_ids([0, last], 2, 0).tolist() == [0, last]
    found = check_ids(None, 1, last)
    assert found.dtype == np.int64
    assert found.tolist() == [last]
    with pytest.raises(ValueError, match="at most 9223372036854775806"):
        check_ids(None, 1, last + 1)
    assert check_ids(None, 0, last + 1).tolist() == []


def test_sparse_matrix_of_masked_entries_is_rejected():
    X = sparse.csr_matrix(np.eye(4))
    X.data = np.ma.masked_array(X.data, mask=[True, False, False, False])
    with pytest.raises(TypeError, match="mask"):
        codebooks.KrotovHopfield(2).fit(X)
