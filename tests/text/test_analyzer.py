"""`TextAnalyzer`: words, languages, parameters, copies, and its use in search and on the command line."""

import pickle
import sys
import time
import unicodedata

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import HopfieldRetriever, TextAnalyzer, cli
from codebooks.storage import DamagedFileError
from codebooks.text import segmentation

ENGLISH = TextAnalyzer(language="en")
GERMAN = ["Das ist ein Haus und kein Baum", "Die Katze ist nicht in dem Garten", "Sie sind mit dem Hund im Wald"] * 5
FRENCH = ["La maison est dans le jardin", "Les enfants ne sont pas avec elle", "Il y a des fleurs sur la table"] * 5
PLAIN_ENGLISH = ["The cat is not on the mat", "They were in the house with it", "There is a dog that has been here"] * 5


@pytest.mark.parametrize(
    "text",
    [
        "हिन्दी में लिखा हुआ पाठ",
        "தமிழ் மொழி இலக்கியம்",
        "বাংলা ভাষা শিখুন",
        "الْكِتَابُ عَلَى الطَّاوِلَةِ",
        "בְּרֵאשִׁית בָּרָא אֱלֹהִים",
        "ქართული ენა",
        "한국어 문장 입니다",
    ],
)
def test_analyzer_keeps_combining_marks_in_their_word(text):
    assert TextAnalyzer(stop_words=None)(text) == unicodedata.normalize("NFKC", text).split()


def test_analyzer_normal_forms_are_one_word():
    composed = "Ångström café naïve"
    analyze = TextAnalyzer(stop_words=None)
    assert analyze(unicodedata.normalize("NFD", composed)) == analyze(composed) == ["ångström", "café", "naïve"]
    assert TextAnalyzer(normalization="NFD")(composed) == TextAnalyzer(normalization="NFD")(
        unicodedata.normalize("NFD", composed)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße", "STRASSE"),
        ("İstanbul", "istanbul"),
        ("ｆｕｌｌ－ｗｉｄｔｈ", "full-width"),
        ("ﬁne", "fine"),
        ("soft\xadware", "software"),
    ],
)
def test_analyzer_compares_forms_of_letters(one, other):
    analyze = TextAnalyzer(stop_words=None)
    assert analyze(one) == analyze(other) != []


@pytest.mark.parametrize(("one", "other"), [("Café", "cafe"), ("Łódź", "lodz"), ("كِتَابٌ", "كتاب"), ("שָׁלוֹם", "שלום")])
def test_analyzer_fold_accents(one, other):
    assert TextAnalyzer(fold_accents=True)(one) == [other]
    assert TextAnalyzer()(one) != [other]


def test_analyzer_lower_case_of_turkish():
    assert TextAnalyzer(language="tr")("ISPARTA İzmir") == ["ısparta", "izmir"]
    assert TextAnalyzer(lowercase=False, stop_words=None)("The Straße") == ["The", "Straße"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("L14-2", ["l14-2", "l14"]),
        ("457-5-4", ["457-5-4", "457"]),
        ("12.4.1", ["12.4.1", "12"]),
        ("C++, C# (R)", ["c++", "c#", "r"]),
        ("snake_case_word", ["snake_case_word", "snake", "case", "word"]),
        ("getUserById", ["getuserbyid", "get", "user", "by", "id"]),
        ("HTTPServer2", ["httpserver2", "http", "server"]),
        ("COVID-19 27001:2013", ["covid-19", "covid", "19", "27001:2013", "27001", "2013"]),
        ("well-known U.S. AT&T", ["well", "known", "u.s", "at&t", "at"]),
        ("3.14 10:30 550e8400-e29b", ["3.14", "10:30", "550e8400-e29b", "550e8400", "e29b"]),
    ],
)
def test_analyzer_returns_codes_and_their_parts(text, words):
    assert TextAnalyzer(stop_words=None)(text) == words
    whole = TextAnalyzer(stop_words=None, parts=False)(text)
    assert set(whole) <= set(words)


def test_search_ranks_complete_codes_before_parts():
    documents = [
        "Article L14-3 on water",
        "Article L14-2 on water",
        "a note on C++ here",
        "a note on C# here",
        "a, R b",
    ]
    retriever = HopfieldRetriever(feedback=0).fit([*documents, "def get_user(snake_case): getUserById"])
    hits = {query: retriever.search(query, 2).ids[0].tolist() for query in ("L14-2", "C++", "c#", "r", "snake", "user")}
    assert hits == {"L14-2": [1, 0], "C++": [2], "c#": [3], "r": [4], "snake": [5], "user": [5]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't think they've or we'll, isn’t it", ["think"]),
        ("John's O'Brien", ["john", "o'brien", "brien"]),
        ("do n't they 've", []),
        ("<p class='x'>Red<br/>lamp</p> a &lt; b", ["red", "lamp", "b"]),
        ("red&nbsp;lamp &amp;amp; &quot;blue&quot; R&D", ["red", "lamp", "blue", "r&d"]),
        ("<script>var alpha = 1;</script>beta<style>p {}</style>", ["beta"]),
        ("if x &lt; y, #include <stdio.h>", ["x", "y", "include", "stdio"]),
        ("see https://t.co/abc?d=e, www.example.org/x or mail me@example.co.uk now", ["mail"]),
        ("@user #topic RT", ["user", "topic", "rt"]),
        ("dGhpcyBpcyBhIHRlc3Qgb2YgYmFzZTY0IGVuY29kZWQ+ red", ["red"]),
        ("red\n" + "function(a,b){return(a+b);}var" * 20 + "\nlamp", ["red", "lamp"]),
        ("x" * 65 + " red", ["red"]),
    ],
)
def test_analyzer_omits_markup_addresses_and_contractions(text, words):
    assert ENGLISH(text) == words


def test_analyzer_elisions():
    assert TextAnalyzer(language="fr")("l'homme d'aujourd'hui qu'il c'est") == ["homme"]
    assert TextAnalyzer(language="it")("dell'arte un'opera") == ["arte", "opera"]


@pytest.mark.parametrize("text", ["a" * 30_000_000, "a-" * 10_000_000, "<script>" * 300_000, "a@" * 5_000_000])
def test_analyzer_time_of_a_word_of_millions_of_characters(text):
    started = time.perf_counter()
    assert ENGLISH(text) == []
    assert time.perf_counter() - started < 10


# -- scripts without blanks ------------------------------------------------------------------------------------------

CHINESE = ["我住在北京市朝阳区。", "北京大学的学生在图书馆学习中文。", "上海是一个很大的城市。"]
JAPANESE = [
    "私は東京大学で機械学習を勉強しています。",
    "京都は古い都市です。",
    "データベースの設定ファイルが見つかりません。",
]
THAI = ["ฉันรักประเทศไทยและอาหารไทย", "ไม่สามารถเปิดแฟ้มได้", "เมืองหลวงของประเทศญี่ปุ่น"]


@pytest.mark.parametrize("segmenter", ["budoux", "bigrams"])
@pytest.mark.parametrize(
    ("documents", "query", "positions"),
    [
        (CHINESE, "北京", [0, 1]),
        (CHINESE, "城市", [2]),
        (JAPANESE, "東京", [0]),
        (JAPANESE, "データベース", [2]),
        (THAI, "ประเทศ", [0, 2]),
    ],
)
def test_search_of_scripts_without_spaces(segmenter, documents, query, positions):
    if segmenter == "budoux":
        pytest.importorskip("budoux")
    vectorizer = CountVectorizer(analyzer=TextAnalyzer(segmenter=segmenter))
    hits = HopfieldRetriever(vectorizer, feedback=0).fit(documents).search(query, len(positions))
    assert sorted(hits.ids[0].tolist()) == positions


def test_segmenter_auto_without_budoux(monkeypatch):
    monkeypatch.setattr(segmentation, "find_spec", lambda name: None)
    analyze = TextAnalyzer(stop_words=None)
    assert analyze("北京大学") == ["北京", "京大", "大学", "北", "京", "大", "学"]
    assert analyze.resolve().segmenter == "bigrams"


def test_missing_budoux_names_the_pip_command(monkeypatch):
    segmentation._load_parser.cache_clear()
    monkeypatch.setitem(sys.modules, "budoux", None)
    with pytest.raises(ImportError, match=r'pip install "codebooks-learn\[words\]"'):
        TextAnalyzer(segmenter="budoux")("北京大学")


# -- language --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "languages", "is_sure"),
    [
        (GERMAN, ("de",), True),
        (FRENCH, ("fr",), True),
        (PLAIN_ENGLISH, ("en",), True),
        (CHINESE, ("zh",), True),
        (JAPANESE, ("ja",), True),
        (THAI, ("th",), True),
        (["Це речення українською мовою, її легко впізнати"], ("uk",), True),
        (["தமிழ் மொழி இலக்கியம்"], ("ta",), True),
        (["cat"] * 2000, (), False),
        ([], (), False),
    ],
)
def test_analyzer_detects_the_language(documents, languages, is_sure):
    detection = TextAnalyzer().detect(documents)
    assert (detection.languages, detection.is_sure) == (languages, is_sure)


def test_analyzer_detects_two_languages_of_long_documents():
    analyzer = TextAnalyzer().fit([" ".join(GERMAN)] * 3 + [" ".join(FRENCH)] * 2)
    assert (analyzer.language_, analyzer.language_shares_) == (("de", "fr"), {"de": 0.6, "fr": 0.4})
    assert analyzer("das Haus und la maison") == ["haus", "maison"]


def test_analyzer_warns_of_an_uncertain_language():
    with pytest.warns(UserWarning, match=r"language of the documents is uncertain .* Set `language`"):
        TextAnalyzer().fit(["cat", "dog"])
    assert TextAnalyzer(stop_words=None).fit(["cat", "dog"]).is_language_sure_ is False


def test_analyzer_stop_words():
    assert TextAnalyzer().fit(GERMAN)("und das Haus") == ["haus"]
    assert TextAnalyzer()(" ".join(GERMAN[:3])) == ["haus", "baum", "katze", "garten", "hund", "wald"]
    assert TextAnalyzer(stop_words=["Red", "café"])("the red lamp Café") == ["the", "lamp"]
    assert TextAnalyzer(stop_words=None)("the lamp") == ["the", "lamp"]
    assert TextAnalyzer(language=None)("the lamp") == ["the", "lamp"]
    assert TextAnalyzer(language="ta")("தமிழ் மொழி") == ["தமிழ்", "மொழி"]


def test_analyzer_stems():
    pytest.importorskip("snowballstemmer")
    assert TextAnalyzer(language="en", stem=True)("libraries of ISO-9001") == ["librari", "iso-9001", "iso", "9001"]
    assert TextAnalyzer(language="de", stem=True)("die Häuser") == ["haus"]


def test_missing_stemmer_names_the_pip_command(monkeypatch):
    from codebooks.text.languages import load_stemmer

    load_stemmer.cache_clear()
    monkeypatch.setitem(sys.modules, "snowballstemmer", None)
    with pytest.raises(ImportError, match=r'pip install "codebooks-learn\[words\]"'):
        TextAnalyzer(language="en", stem=True)("libraries")


# -- settings --------------------------------------------------------------------------------------------------------


def test_analyzer_ngrams_numbers_and_pattern():
    assert TextAnalyzer(language="en", ngram_range=(1, 2))("red L14-2 lamp") == [
        *("red", "l14-2", "l14", "lamp"),
        *("red l14-2", "l14-2 lamp"),
    ]
    assert TextAnalyzer(ngram_range=(2, 2), stop_words=None)("a b c") == ["a b", "b c"]
    assert TextAnalyzer(numbers=False, stop_words=None)("2004 3.5 457-5-4 b2") == ["457-5-4", "b2"]
    assert TextAnalyzer(token_pattern=r"[a-z]{3,}", stop_words=None)("Red L14-2 a lamp") == ["red", "lamp"]
    assert TextAnalyzer(token_pattern=r"\S+", stop_words=None)("a, getUser b.") == ["a,", "getuser", "b."]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"language": "klingon"}, ValueError, r'`language` must be "auto", None or a code .* got \'klingon\''),
        ({"language": None, "stem": True}, ValueError, "`stem` must be False if `language` is None"),
        ({"language": "zh", "stem": True}, ValueError, "no stemmer"),
        ({"stop_words": "english"}, ValueError, "`stop_words` must be"),
        ({"stop_words": [1]}, TypeError, "list of str"),
        ({"normalization": "NFX"}, ValueError, "`normalization` must be one of"),
        ({"segmenter": "jieba"}, ValueError, "`segmenter` must be one of"),
        ({"ngram_range": (2, 1)}, ValueError, "`ngram_range` must be"),
    ],
)
def test_analyzer_invalid_parameters_raise_an_error(settings, error, message):
    with pytest.raises(error, match=message):
        TextAnalyzer(**settings)("text")


def test_analyzer_of_a_non_string_raises_an_error():
    with pytest.raises(TypeError, match="expected a str, got bytes"):
        ENGLISH(b"text")
    with pytest.raises(TypeError, match="list of texts"):
        ENGLISH.fit("one text")


def test_analyzer_set_params_takes_effect():
    analyzer = TextAnalyzer(language="en")
    assert analyzer("the lamp") == ["lamp"]
    assert analyzer.set_params(stop_words=None)("the lamp") == ["the", "lamp"]
    analyzer.language, analyzer.stop_words = "de", "auto"
    assert analyzer("the Lampe und") == ["the", "lampe"]


def test_analyzer_pickle_and_clone():
    analyzer = TextAnalyzer(ngram_range=(1, 2)).fit(GERMAN)
    text = "Das ist der Hund und die L14-2"
    loaded = pickle.loads(pickle.dumps(analyzer))
    assert loaded(text) == analyzer(text)
    assert "_state" not in vars(loaded) or vars(loaded)["_state"] is not vars(analyzer)["_state"]
    assert clone(analyzer).get_params() == analyzer.get_params()
    assert not hasattr(clone(analyzer), "language_")
    assert clone(analyzer.resolve())(text) == analyzer(text)  # a clone of a vectorizer clones its analyzer
    vectorizer = CountVectorizer(analyzer=analyzer.resolve())
    assert (clone(vectorizer).fit_transform(GERMAN) != vectorizer.fit_transform(GERMAN)).nnz == 0


# -- a saved index ---------------------------------------------------------------------------------------------------


def test_retriever_saves_and_loads_its_analyzer(tmp_path):
    retriever = HopfieldRetriever().fit([*GERMAN, "Artikel L14-2", "北京大学"])
    retriever.save(tmp_path / "index")
    loaded = HopfieldRetriever.load(tmp_path / "index")
    assert loaded.vectorizer_.analyzer.get_params() == retriever.vectorizer_.analyzer.get_params()
    queries = ["und", "katze", "L14-2", "北京", "und kein Baum"]
    for ids, expected in zip(loaded.search(queries).ids, retriever.search(queries).ids, strict=True):
        np.testing.assert_array_equal(ids, expected)
    assert "neuland" in loaded.add(["Neuland"]).terms_.tolist()


def test_retriever_load_requires_trust_for_the_pattern_of_an_analyzer(tmp_path):
    vectorizer = CountVectorizer(analyzer=TextAnalyzer(token_pattern=r"(?:a+)+b"))
    HopfieldRetriever(vectorizer).fit(["aab"]).save(tmp_path / "index")
    with pytest.raises(DamagedFileError, match="If you trust the file"):
        HopfieldRetriever.load(tmp_path / "index")
    loaded = HopfieldRetriever.load(tmp_path / "index", trust=True)
    assert loaded.vectorizer_.analyzer.token_pattern == r"(?:a+)+b"


def test_retriever_load_requires_the_segmenter_of_its_index(tmp_path, monkeypatch):
    pytest.importorskip("budoux")
    HopfieldRetriever().fit(CHINESE).save(tmp_path / "index")
    monkeypatch.setattr(segmentation, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        HopfieldRetriever.load(tmp_path / "index")


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["codebooks", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        done = capsys.readouterr()
        return ended.value.code, done.out, done.err

    return run


def test_cli_topics_and_assign_in_german(run, tmp_path):
    (tmp_path / "de.txt").write_text("\n".join(GERMAN), encoding="utf-8")
    code, out, _ = run("topics", "de.txt", "-k", 2)
    assert code == 0
    assert "language: de\n" in out
    assert not {"und", "ist", "das", "die"} & set(out.replace(",", " ").split())
    (tmp_path / "new.txt").write_text("und das\nKatze im Garten", encoding="utf-8")
    code, out, _ = run("assign", "topics", "new.txt")
    assert [line.split(",")[1] == "-1" for line in out.splitlines()[1:]] == [True, False]


def test_cli_options_of_words(run, tmp_path):
    (tmp_path / "own.txt").write_text("Hund wald", encoding="utf-8")
    (tmp_path / "de.txt").write_text("\n".join([*GERMAN, "Vogel"]), encoding="utf-8")

    def terms(*options):
        code, out, err = run("topics", "de.txt", "-k", 1, "--overwrite", *options)
        assert (code, err) == (0, "")
        [words] = [line.split("  ")[-1] for line in out.splitlines() if "100.0%" in line or "93.8%" in line]
        return set(words.strip().split(", "))

    assert terms() == {"haus", "baum", "katze", "garten", "hund", "wald", "vogel"}
    assert terms("--language", "de", "--stop-words", "own.txt") == {"haus", "baum", "katze", "garten", "vogel"}
    assert terms("--min-df", 2) == {"haus", "baum", "katze", "garten", "hund", "wald"}
    assert terms("--max-df", 0.1) == {"vogel"}
    assert {"katze garten"} <= terms("--ngrams", 2, "--min-df", 2)
    assert terms("--token-pattern", "[a-z]{5}") == {"katze", "garte", "vogel"}
    assert "und" in terms("--no-stop-words", "--min-df", 2, "--token-pattern", "und|ist")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--language", "xx"], "--language must be"),
        (["--stop-words", "missing.txt"], "cannot read the file of stop words missing.txt"),
        (["--ngrams", "9"], "--ngrams must be an integer from 1 to 5"),
        (["--min-df", "0"], "--min-df must be an integer >= 1"),
        (["--min-df", "few"], "--min-df must be an integer >= 1 or a share"),
        (["--max-df", "1.5"], "--max-df must be"),
        (["--token-pattern", "("], "--token-pattern must be a regular expression"),
    ],
)
def test_cli_options_of_words_are_checked(run, tmp_path, options, message):
    (tmp_path / "text.txt").write_text("red lamp\nblue lamp", encoding="utf-8")
    for command in (("topics", "text.txt"), ("search", "text.txt", "lamp")):
        code, _, err = run(*command, *options)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_cli_search_of_chinese_and_of_an_index(run, tmp_path):
    (tmp_path / "zh.txt").write_text("\n".join(CHINESE), encoding="utf-8")
    code, out, _ = run("search", "zh.txt", "北京", "--save", "index", "--feedback", 0)
    assert (code, "nothing found" in out) == (0, False)
    assert run("search", "index", "北京", "--json", "--feedback", 0)[1].count('"id"') == 2
    code, _, err = run("search", "index", "北京", "--ngrams", 2)
    assert (code, "omit --ngrams" in err) == (2, True)


@pytest.mark.parametrize("pattern", ["(", "(a)(b)"])
def test_invalid_token_pattern_raises_an_error(pattern):
    with pytest.raises(ValueError, match="`token_pattern` must"):
        TextAnalyzer(token_pattern=pattern)("a b")


def test_cli_stop_words_may_have_another_encoding(run, tmp_path):
    (tmp_path / "text.txt").write_text("apple car\nred car\nred lamp\n" * 3, encoding="utf-8")
    (tmp_path / "own.txt").write_bytes("car\nred\nand and\n".encode("utf-16-le"))
    code, out, err = run("topics", "text.txt", "-k", 1, "--stop-words", "own.txt", "--max-df", "1.0")
    assert code == 0
    assert "utf_16_le" in err.replace("-", "_") + out
    assert "apple" in out
    assert "car" not in out.replace("own", "").split()
