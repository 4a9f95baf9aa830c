"""No error or warning is longer than 500 characters, however large the value that it is about."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

import codebooks
from codebooks import datasets, metrics, plots
from codebooks.errors import short_repr

LONGEST = 500
GIANTS = {
    "string": "x" * 100_000,
    "strings": ["red lamp"] * 2000,
    "numbers": list(range(5000)),
    "dictionary": {"k" * 10_000: "v" * 10_000},
    "tuple": ("x" * 10_000, "y" * 10_000),
}
TEXTS = ["red lamp", "blue lamp", "red car", "blue car", "old red lamp", "old blue car"]
VECTORIZER = CountVectorizer()
X = VECTORIZER.fit_transform(TEXTS).astype(np.float64)
TERMS = VECTORIZER.get_feature_names_out()
ESTIMATORS = [name for name in codebooks.__all__ if hasattr(getattr(codebooks, name), "get_params")]
ON_TEXT = {"HopfieldRetriever", "TextAnalyzer", "TextEmbedder"}


def make(name):
    return getattr(codebooks, name)(**({"encoder": "none"} if name == "TextEmbedder" else {}))


def message_of(call, *args, **kwargs):
    """What a call says: the longest of its error and its warnings."""
    said = [""]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(*args, **kwargs)
        except Exception as error:
            if getattr(error, "errno", None) is None:  # those of the operating system are not ours
                said.append(str(error))
    said += [str(one.message) for one in caught]
    return max(said, key=len)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_messages_of_estimators_are_short(name):
    data = TEXTS if name in ON_TEXT else X
    y = [0, 0, 1, 1, 2, 2]
    long = []
    for kind, giant in GIANTS.items():
        for setting in make(name).get_params(deep=False):
            message = message_of(make(name).set_params(**{setting: giant}).fit, data, y)
            if len(message) > LONGEST:
                long.append((setting, kind, message[:200]))
        fitted = make(name)
        message_of(fitted.fit, data, y)
        for method, _ in inspect.getmembers(type(fitted), inspect.isroutine):
            if method.startswith("_") or method in ("get_params", "get_metadata_routing"):
                continue
            function = getattr(fitted, method)
            names = [one for one in inspect.signature(function).parameters if one not in ("params", "kwargs")]
            for changed in names:
                usual = {"k": 1, "X": data, "documents": data, "queries": data[:1], "path": "/nonexistent/x", "id": 0}
                given = {one: usual[one] for one in names if one in usual} | {changed: giant}
                message = message_of(function, **given)
                if len(message) > LONGEST:
                    long.append((method, changed, kind, message[:200]))
    assert long == []


MODEL = codebooks.KrotovHopfield(2, random_state=0).fit(X)
TOPICS = [["red", "lamp"], ["blue", "car"]]
LABELS = [0, 0, 1, 1, 0, 1]
FUNCTIONS = {
    codebooks.topic_words: {"model": MODEL, "X": X, "feature_names": TERMS},
    codebooks.cluster_words: {"labels": LABELS, "X": X, "feature_names": TERMS},
    codebooks.representative_documents: {"model": MODEL, "X": X},
    codebooks.expand: {"model": MODEL, "feature_names": TERMS, "query": "red"},
    codebooks.rank_documents: {"model": MODEL, "X": X, "query": 0},
    codebooks.suggest: {"codes": MODEL.transform(X), "liked": [0]},
    codebooks.choose_n_components: {"estimator": MODEL, "X": X, "candidates": [2]},
    codebooks.to_host: {"model": MODEL},
    metrics.npmi: {"topics": TOPICS, "X": X, "feature_names": TERMS},
    metrics.npmi_per_topic: {"topics": TOPICS, "X": X, "feature_names": TERMS},
    metrics.topic_diversity: {"topics": TOPICS},
    metrics.bootstrap_interval: {"values": [0.0, 1.0, 1.0]},
    metrics.agreement: {"labels_true": LABELS, "labels_pred": LABELS},
}
PUBLIC = {
    getattr(module, name): None
    for module in (codebooks, metrics, plots, datasets)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name)) and name != "warmup"
}


@pytest.mark.parametrize("function", PUBLIC, ids=lambda one: one.__name__)
def test_messages_of_functions_are_short(function):
    usual, long = FUNCTIONS.get(function, {}), []
    for kind, giant in GIANTS.items():
        said = {"alone": message_of(function, giant)}
        names = list(inspect.signature(function).parameters)
        for name in names:
            said[name] = message_of(function, **{**usual, name: giant})
        said["all"] = message_of(function, **dict.fromkeys(names, giant))
        long += [(name, kind, message[:200]) for name, message in said.items() if len(message) > LONGEST]
    assert long == []


def test_topic_words_without_a_model_says_so_in_short():
    with pytest.raises((TypeError, ValueError)) as caught:
        codebooks.topic_words(["red lamp " * 1000] * 1000)
    assert len(str(caught.value)) <= LONGEST


def test_short_repr_of_large_values():
    for giant in (*GIANTS.values(), np.zeros((100, 100)), VECTORIZER):
        assert len(short_repr(giant)) <= 120
        assert "\n" not in short_repr(giant)
    assert short_repr("red\nlamp") == r"'red\nlamp'"
    assert short_repr([1, 2.5, None]) == "[1, 2.5, None]"
