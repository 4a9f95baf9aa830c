"""Tables of results in notebooks and as data frames."""

import sys

import numpy as np
import pytest

from codebooks import Topic, TopicList
from codebooks.retrieval.retriever import SearchResults
from codebooks.selection import Selection

TABLES = {
    "TopicList": (
        TopicList([Topic(0, ("<goal>",), (1.0,), 0.75, size=3), Topic(1, (), (), float("nan"))]),
        {"id": [0, 1], "words": [("<goal>",), ()]},
    ),
    "SearchResults": (
        SearchResults([np.array(["<a>", "b"]), np.array([], str)], [np.array([2.0, 1.0]), np.array([])]),
        {"query": [0, 0], "rank": [1, 2], "id": ["<a>", "b"], "score": [2.0, 1.0]},
    ),
    "Selection": (
        Selection(2, "Take <2>.", [{"n_components": 2, "score": 0.5}]),
        {"n_components": [2], "score": [0.5]},
    ),
}


@pytest.mark.parametrize(("table", "columns"), TABLES.values(), ids=TABLES)
def test_to_frame_has_a_row_for_each_entry(table, columns):
    frame = table.to_frame()
    assert {name: frame[name].tolist() for name in columns} == columns


@pytest.mark.parametrize(("table", "columns"), TABLES.values(), ids=TABLES)
def test_repr_html_is_an_escaped_table(table, columns):
    html = table._repr_html_()
    assert html.count("<tr>") == 1 + len(next(iter(columns.values())))
    assert "&lt;" in html
    assert not {"<goal>", "<a>", "<2>", "nan"} & set(html.replace("<td>", "|").replace("</td>", "|").split("|"))


def test_to_frame_names_the_missing_library(monkeypatch):
    table = TopicList([])
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="pip install polars"):
        table.to_frame("polars")
    with pytest.raises(ValueError, match="'pandas' or 'polars', got 'spark'"):
        table.to_frame("spark")


def test_slices_of_a_topic_list_are_topic_lists():
    topics = TABLES["TopicList"][0]
    assert isinstance(topics[:1], TopicList)
    assert topics[0].words == ("<goal>",)


def test_repr_html_of_a_topic_is_that_of_a_list_of_it():
    topic = Topic(0, ("<goal>",), (1.0,), 0.1)
    assert topic._repr_html_() == TopicList([topic])._repr_html_()


def test_repr_html_of_a_long_table_is_cut():
    html = TopicList([Topic(k, ("a",), (1.0,), 0.1) for k in range(60)])._repr_html_()
    assert html.count("<tr>") == 51
    assert "10 more rows" in html
