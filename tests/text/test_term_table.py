"""The compiled term table returns the same words and counts as the analysis of each text in Python."""

import random
import threading
import unicodedata

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from codebooks import HopfieldRetriever, TextAnalyzer
from codebooks.text import analyzer as analyzer_module
from codebooks.text import counting, term_rules, term_table

PIECES = [
    *("the", "Water", "BILL", "l14-2", "457-5-4", "snake_case", "getUserById", "C++", "C#", "R&D", "don't", "John's"),
    *(
        "'quoted'",
        "me@example.org",
        "https://t.co/a?b=c",
        "<p class='x'>",
        "</p>",
        "&amp;",
        "well-known",
        "e.g.",
        "3.5",
    ),
    *(
        "café",
        "Straße",
        "İzmir",
        "ﬁne",
        "हिन्दी",
        "தமிழ்",
        "北京大学",
        "データ",
        "ประเทศ",
        "الْكِتَابُ",
        "l’homme",
        "soft\xadware",
    ),
    *(
        "\ud800",
        "—",
        "«x»",
        "、",
        "\u3000",
        "\u2003",
        "\x85",
        "\xa0",
        "\x1c",
        "\n",
        "\t",
        ".",
        ":",
        "-",
        "_",
        "'",
        "`",
        "ÿ",
    ),
    *("a" * 64, "a" * 65, "Aa" * 40, "x-" * 60, "A1b2C3d4" * 5, "1a", "aB1", "A1B", "@", "#", "..", "😀", "̈"),
]


def make_texts(n=400):
    rng = random.Random(0)
    texts = ["", " ", "a", "-", "\n" * 50, "the Water " * 500]
    for length in rng.choices([3, 30, 200], k=n):
        texts.append(rng.choice(["", " ", " "]).join(rng.choices(PIECES, k=length)))
        texts.append(" ".join(f"{rng.choice('abCD')}{rng.randrange(4000)}" for _ in range(length)))
    return texts + [unicodedata.normalize("NFD", text) for text in texts[-100:]]


@pytest.fixture
def analyze_in_python(monkeypatch):
    """Analyze texts one by one without a table."""

    def analyze(settings, texts):
        with monkeypatch.context() as patch:
            patch.setattr(analyzer_module, "_LONG_TEXT", 10**9)
            return [*map(TextAnalyzer(**settings), texts)]

    return analyze


@pytest.fixture
def always_table(monkeypatch):
    """Use a table for texts of all lengths, from the first character on."""
    monkeypatch.setattr(analyzer_module, "_LONG_TEXT", 0)
    for module in (term_rules, counting):
        monkeypatch.setattr(module, "_MANY_CHARACTERS", 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"language": "en", "stop_words": None},
        {"language": "tr"},
        {"language": ("ja", "en"), "segmenter": "bigrams", "parts": False, "numbers": False},
        {"language": "en", "lowercase": False, "fold_accents": True, "normalization": None, "segmenter": "bigrams"},
        {},
    ],
)
def test_term_table_equals_analysis_in_python(analyze_in_python, always_table, monkeypatch, settings):
    texts = make_texts()
    monkeypatch.setattr(term_table, "_MAX_STRETCHES", 3000)  # the table is cleared several times
    analyze = TextAnalyzer(**settings)
    assert [*map(analyze, texts)] == analyze_in_python(settings, texts)
    tables = [rules._table for rules in analyze._state.rules.values() if rules._table is not None]
    assert tables
    assert all(table._size[0] > 0 for table in tables)


@pytest.mark.parametrize("make", [CountVectorizer, TfidfVectorizer])
@pytest.mark.parametrize("bounds", [{}, {"min_df": 2, "max_df": 0.5, "dtype": np.float32}])
def test_counts_of_many_documents_equal_those_of_the_vectorizer(always_table, monkeypatch, make, bounds):
    texts = make_texts(100)
    analyzer = TextAnalyzer(language="en", segmenter="bigrams")
    expected = make(analyzer=analyzer, **bounds)
    X = expected.fit_transform(texts)
    monkeypatch.setattr(term_table, "_BLOCK", 5000)
    monkeypatch.setattr(TextAnalyzer, "__call__", None)
    fast = make(analyzer=analyzer, **bounds)
    counted = counting.fit_transform(fast, texts)
    assert fast.vocabulary_ == expected.vocabulary_
    assert counted.dtype == X.dtype
    assert "_count_vocab" not in vars(fast)
    X.sort_indices()
    np.testing.assert_array_equal(counted.indptr, X.indptr)
    np.testing.assert_array_equal(counted.indices, X.indices)
    np.testing.assert_allclose(counted.data, X.data, rtol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [{"ngram_range": (1, 2)}, {"token_pattern": r"\w+"}, {"language": "auto"}],
    ids=lambda one: next(iter(one)),
)
def test_counts_of_other_settings_equal_those_of_the_vectorizer(always_table, settings):
    texts = make_texts(20)
    vectorizer = CountVectorizer(analyzer=TextAnalyzer(**settings))
    assert (counting.fit_transform(vectorizer, texts) != vectorizer.fit_transform(texts)).nnz == 0


def test_counts_without_words_raise_the_error_of_the_vectorizer(always_table):
    with pytest.raises(ValueError, match="empty vocabulary"):
        counting.fit_transform(CountVectorizer(analyzer=TextAnalyzer(language="en")), ["the", "", "!"])


def test_retriever_and_topics_use_the_table_for_many_texts(monkeypatch):
    from codebooks.topic_model.vocabulary import count_words

    texts = [f"red lamp number w{i} costs more than x{i % 9} " * 40 for i in range(1000)]
    monkeypatch.setattr(TextAnalyzer, "__call__", None)  # called by a vectorizer for each document
    assert len(HopfieldRetriever().fit(texts).terms_) == 1015
    vectorizer, X = count_words(texts, None, "auto", None)
    assert sorted(vectorizer.vocabulary_) == [f"x{i}" for i in range(9)]
    assert X.shape == (1000, 9)


def test_term_table_after_an_error_in_analysis():
    def analyze(stretch):
        if is_broken and stretch == "b":
            raise ImportError
        return [stretch]

    is_broken, table = True, term_table.TermTable(analyze, False)
    with pytest.raises(ImportError):
        table.analyze("a b c")
    is_broken = False
    assert table.analyze("c d b a") == ["c", "d", "b", "a"]


def test_term_table_in_several_threads(analyze_in_python, always_table):
    texts = make_texts(200)
    analyze, words_by_step = TextAnalyzer(language="en"), {}
    threads = [
        threading.Thread(target=lambda i=i: words_by_step.update({i: [*map(analyze, texts[::i])]}))
        for i in (1, -1, 2, -2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = analyze_in_python({"language": "en"}, texts)
    assert all(words == expected[::step] for step, words in words_by_step.items())
    assert len(words_by_step) == 4
