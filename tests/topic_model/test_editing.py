"""Edits of `TopicModel`: what each changes, what it leaves, and errors that leave the model unchanged."""

import pickle
from copy import copy

import numpy as np
import pytest
from planted_texts import THEMES, make_texts
from sklearn.base import clone
from sklearn.decomposition import NMF
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline

from codebooks import InhibitedMixture, KrotovHopfield, TopicModel
from codebooks.datasets import load_glosses

TEXTS, LABELS = make_texts()
LABELS = np.array(LABELS)
GLOSSES = load_glosses().documents[::3]


@pytest.fixture(scope="module")
def model():
    return TopicModel(4, random_state=0).fit(TEXTS)


@pytest.fixture(scope="module")
def glosses():
    return TopicModel(12, random_state=0).fit(GLOSSES)


def find_topic(model, theme):
    """Return the id of the topic of a planted theme."""
    ids, counts = np.unique(model.labels_[theme == LABELS], return_counts=True)
    return int(ids[counts.argmax()])


EDITS = {
    "merge": lambda model: model.merge([[0, 1]]),
    "reduce": lambda model: model.reduce(2),
    "split": lambda model: model.split(0),
    "remove": lambda model: model.remove([1]),
    "move": lambda model: model.move([0, 5], 2),
    "seed": lambda model: model.seed({"new": [model.topics_[0].words[0]]}),
    "forbid": lambda model: model.forbid([model.topics_[0].words[0]]),
    "pin": lambda model: model.pin(0),
    "rename": lambda model: model.rename({0: "first"}),
    "label_topics": lambda model: model.label_topics(lambda topic: topic.words[0].upper()),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
class TestEveryEdit:
    def test_edit_returns_a_new_model_and_changes_nothing(self, edit, glosses):
        before = pickle.dumps(glosses)
        edited = edit(glosses)
        assert type(edited) is TopicModel
        assert pickle.dumps(glosses) == before
        assert len(edited.history_) == 1

    def test_edited_model_is_consistent(self, edit, glosses):
        edited = edit(glosses)
        shares = edited.transform(GLOSSES)
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-4)
        assert [topic.id for topic in edited.topics_] == edited.topic_ids_.tolist()
        assert len(set(edited.topic_ids_.tolist())) == edited.n_topics_
        moved = list(edited._restrictions.moved)
        same = np.delete(edited.predict(GLOSSES) == edited.labels_, moved)
        assert same.all()
        sizes = [int((edited.labels_ == id).sum()) for id in edited.topic_ids_]
        assert [topic.size for topic in edited.topics_] == sizes

    def test_edits_follow_each_other(self, edit, glosses):
        again = edit(glosses.merge([[2, 3]]).split(4, n=3).rename({5: "five"}))
        assert [step.method for step in again.history_][:3] == ["merge", "split", "rename"]
        assert 3 not in again.topic_ids_
        assert again.topic_ids_.max() >= 12 or again.n_topics_ == 2


class TestMerge:
    def test_shares_add_up(self, glosses):
        merged = glosses.merge([[3, 7], [1, 4, 5]])
        labelled = [text for text, label in zip(GLOSSES, glosses.labels_, strict=True) if label >= 0]
        before, after = glosses.transform(labelled), merged.transform(labelled)
        column = {id: k for k, id in enumerate(merged.topic_ids_.tolist())}
        kept = max((3, 7), key=lambda id: glosses.topics_[id].size)
        np.testing.assert_allclose(after[:, column[kept]], before[:, 3] + before[:, 7], atol=1e-5)
        # A document with equal shares of two topics may go to the other one.
        assert (merged.labels_[np.isin(glosses.labels_, [3, 7])] == kept).mean() > 0.98
        assert merged.n_topics_ == 9

    def test_one_group_without_a_list(self, model):
        assert str(model.merge([0, 1]).topics_) == str(model.merge([[0, 1]]).topics_)

    def test_largest_topic_keeps_id_and_name(self, glosses):
        named = glosses.rename({0: "first", 1: "second"}).merge([[1, 0]])
        assert named.topic_ids_[0] == 0
        assert named.topics_[0].name == "first"

    def test_all_topics(self, model):
        assert model.merge([[0, 1, 2, 3]]).n_topics_ == 1


class TestReduce:
    def test_most_similar_topics_merge(self):
        texts, _ = make_texts()
        parts = [" ".join(THEMES["sport"].split()[i : i + 4] * 2 + ["goal", "team"]) for i in (2, 6)]
        found = TopicModel(5, random_state=0).fit(texts + parts * 20)
        assert found.reduce(3).n_topics_ == 3
        assert found.reduce(5).n_topics_ == 5
        assert found.reduce(1).n_topics_ == 1

    def test_groups_are_those_of_the_hierarchy(self, glosses):
        reduced = glosses.reduce(5)
        groups = glosses.hierarchy().cut(5)
        assert sorted(max(group, key=lambda id: glosses.topics_[id].size) for group in groups) == sorted(
            reduced.topic_ids_.tolist()
        )


class TestSplit:
    @pytest.mark.parametrize("learner", [None, KrotovHopfield(), InhibitedMixture()], ids=str)
    def test_planted_parts_are_found(self, learner):
        found = TopicModel(4, learner=learner, random_state=0).fit(TEXTS)
        merged = found.merge([[find_topic(found, "sport"), find_topic(found, "money")]])
        split = merged.split(find_topic(merged, "sport"))
        labels = split.labels_[np.isin(LABELS, ["sport", "money"])]
        expected = LABELS[np.isin(LABELS, ["sport", "money"])]
        assert len(set(zip(labels.tolist(), expected.tolist(), strict=True))) == 2
        assert split.n_topics_ == 4

    def test_largest_part_keeps_the_id(self, glosses):
        split = glosses.split(0, n=3)
        sizes = {topic.id: topic.size for topic in split.topics_}
        assert set(sizes) == {*range(12), 12, 13}
        assert sizes[0] > 0


class TestRemove:
    def test_documents_go_to_other_topics(self, model):
        left = model.remove(find_topic(model, "sport"))
        assert left.n_topics_ == 3
        shared = [text for text, theme in zip(TEXTS, LABELS, strict=True) if theme == "music"]
        np.testing.assert_array_equal(left.predict(shared), model.predict(shared))

    def test_next_new_topic_has_another_id(self, model):
        assert model.remove(3).split(0).topic_ids_.tolist() == [0, 1, 2, 4]


class TestMove:
    def test_documents_stay_moved(self, model):
        sport, money = find_topic(model, "sport"), find_topic(model, "money")
        rows = np.flatnonzero(LABELS == "sport")[:3]
        moved = model.move(rows.tolist(), money)
        assert moved.labels_[rows].tolist() == [money] * 3
        assert moved.forbid(["goal"]).labels_[rows].tolist() == [money] * 3
        assert moved.merge([[money, sport]]).labels_[rows].tolist() == [moved.merge([[money, sport]]).labels_[0]] * 3
        assert (moved.labels_ != model.labels_).sum() == 3

    def test_topics_learn_from_moved_documents(self, model):
        money = find_topic(model, "money")
        rows = np.flatnonzero(LABELS == "sport")[:30]
        moved = model.move(rows, money)
        column = model.topic_ids_.tolist().index(money)
        text = [" ".join(THEMES["sport"].split()[:5])]
        assert moved.transform(text)[0, column] > model.transform(text)[0, column]

    def test_all_documents_of_a_topic_to_no_topic(self, model):
        rows = np.flatnonzero(model.labels_ == 0)
        moved = model.move(rows, -1)
        assert (moved.labels_[rows] == -1).all()
        assert moved.topics_[0].size == 0
        assert moved.similarity().shape == (4, 4)

    def test_to_no_topic(self, model):
        moved = model.move(0, -1)
        assert moved.labels_[0] == -1
        assert sum(topic.size for topic in moved.topics_) == len(TEXTS) - 1


class TestSeed:
    def test_new_topic_takes_its_words(self, model):
        seeded = model.seed({"animals": ["goal", "match"]})
        topic = seeded.topics_[-1]
        assert topic.name == "animals"
        assert {"goal", "match"} <= set(topic.words)

    def test_present_topic_by_id_and_name(self, model):
        named = model.rename({0: "zero"})
        for key in (0, "zero"):
            assert named.seed({key: ["goal"]}).n_topics_ == 4

    @pytest.mark.parametrize("words", ["goal", iter(["goal"])], ids=["text", "iterator"])
    def test_history_contains_the_words(self, words, model):
        seeded = model.seed({"new": words})
        assert seeded.history_[0].arguments == {"seed_words": {"new": ["goal"]}}
        assert seeded.replay(TEXTS).history_ == seeded.history_

    def test_topic_whose_words_occur_with_more_words_of_another(self):
        texts = ["aa bb cc", "aa bb cc", "dd ee", "dd ee ff"]
        seeds = {"x": ["aa", "bb"], "y": ["cc"]}
        plain = TopicModel(2, vectorizer=CountVectorizer(), random_state=0).fit(texts)
        fitted = clone(plain).set_params(n_topics=3, seed_words=seeds).fit(texts)
        for found in (plain.seed(seeds), fitted):
            assert {"x", "y"} <= {topic.name for topic in found.topics_}

    def test_most_seeded_words_stay_after_further_learning(self, glosses):
        words = [topic.words[0] for topic in glosses.topics_[:6]]
        seeded = glosses.seed({"one": words[:3], "two": words[3:]}).forbid(["small", "large"]).seed({"three": ["year"]})
        names = seeded.vectorizer_.get_feature_names_out().tolist()
        owners = seeded.topic_ids_[seeded._component_topics]
        by_name = {topic.name: topic.id for topic in seeded.topics_}
        for name, seeds in (("one", words[:3]), ("two", words[3:]), ("three", ["year"])):
            for word in seeds:
                assert owners[seeded.learner_.components_[:, names.index(word)].argmax()] == by_name[name]


class TestForbid:
    def test_word_is_in_no_topic(self, glosses):
        word = glosses.topics_[0].words[0]
        left = glosses.forbid([word.upper()])
        assert not any(word in topic.words for topic in left.topics_)
        assert word not in left.vectorizer_.get_feature_names_out()
        assert left.predict([word]).tolist() == [-1]

    def test_phrase_in_upper_case(self):
        found = TopicModel(2, vectorizer=CountVectorizer(ngram_range=(1, 2)), random_state=0).fit(TEXTS)
        left = found.forbid(["Today People"])
        assert set(found.vectorizer_.vocabulary_) - set(left.vectorizer_.vocabulary_) == {"today people"}

    def test_topics_stay(self, model):
        left = model.forbid(["goal", "bank"])
        np.testing.assert_array_equal(left.labels_, model.labels_)

    def test_unknown_word_changes_nothing(self, model):
        assert str(model.forbid(["zebra"]).topics_) == str(model.topics_)


class TestPin:
    def test_components_stay(self, glosses):
        pinned = glosses.pin([0, 2])
        owners = pinned.topic_ids_[pinned._component_topics]
        rows = np.flatnonzero(np.isin(owners, [0, 2]))
        learned = pinned.seed({"new": ["river"]})
        names = learned.vectorizer_.get_feature_names_out() != "river"
        before, after = pinned.learner_.components_[rows][:, names], learned.learner_.components_[rows][:, names]
        scale = after.sum(axis=1) / before.sum(axis=1)
        np.testing.assert_allclose(after, before * scale[:, None], rtol=1e-4, atol=1e-7)


class TestNames:
    def test_rename_and_label(self, model):
        named = model.label_topics(lambda topic: f"about {topic.words[0]}").rename({1: "one"})
        assert named.topics_[1].name == "one"
        assert named.topics_[0].name.startswith("about ")
        assert named.merge([[2, 3]]).topics_[0].name == named.topics_[0].name


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda model: model.merge([[0, 99]]), ValueError, "99"),
        (lambda model: model.merge([[0, 1], [1, 2]]), ValueError, "once"),
        (lambda model: model.merge(3), TypeError, "list"),
        (lambda model: model.merge("01"), TypeError, "list"),
        (lambda model: model.merge([]), ValueError, "at least one"),
        (lambda model: model.merge([[0.5, 1]]), TypeError, "integers"),
        (lambda model: model.reduce(0), ValueError, "n_topics"),
        (lambda model: model.reduce(9), ValueError, "at most the 4"),
        (lambda model: model.split(7), ValueError, "7"),
        (lambda model: model.split([0, 1]), TypeError, "one topic"),
        (lambda model: model.move(0, np.array([0, 1])), TypeError, "one topic"),
        (lambda model: model.move(0, None), TypeError, "one topic"),
        (lambda model: model.seed({True: ["goal"]}), TypeError, "integers"),
        (lambda model: model.rename({0: "x"}).seed({0: ["goal"], "x": ["moon"]}), ValueError, "once"),
        (
            lambda model: model.topics_per_class(["a"]),
            ValueError,
            "`classes` must .* 160 documents of the model, got 1",
        ),
        (lambda model: model.topics_over_time([1, 2]), ValueError, "`timestamps` must .* got 2"),
        (lambda model: model.save("no folder/model"), FileNotFoundError, "`path` must be in a folder that exists"),
        (lambda model: model.save(None), TypeError, "`path`"),
        (lambda model: model.split(0, n=1), ValueError, "n"),
        (lambda model: model.split(0, n=500), ValueError, "smaller"),
        (lambda model: model.remove([0, 1, 2, 3]), ValueError, "leave a topic"),
        (lambda model: model.move([10**6], 0), ValueError, "positions"),
        (lambda model: model.move([-1], 0), ValueError, "positions"),
        (lambda model: model.move([0], 9), ValueError, "9"),
        (lambda model: model.seed({}), TypeError, "dict"),
        (lambda model: model.seed({"a": ["zebra"]}), ValueError, "zebra"),
        (lambda model: model.seed({"a": ["goal"], "b": ["goal"]}), ValueError, "one topic"),
        (lambda model: model.seed({9: ["goal"]}), ValueError, "9"),
        (lambda model: model.forbid([1]), TypeError, "strings"),
        (lambda model: model.forbid(model.vectorizer_.get_feature_names_out()), ValueError, "leave"),
        (lambda model: model.pin("0"), TypeError, "list"),
        (lambda model: model.rename({0: 1}), TypeError, "dict"),
        (lambda model: model.rename({9: "nine"}), ValueError, "9"),
        (lambda model: model.label_topics("name"), TypeError, "function"),
        (lambda model: model.label_topics(lambda topic: None), TypeError, "return a str"),
    ],
)
def test_error_leaves_the_model_unchanged(edit, error, message, model):
    before = pickle.dumps(model)
    with pytest.raises(error, match=message) as caught:
        edit(model)
    assert len(str(caught.value)) < 500
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_unfitted_model_cannot_be_edited(edit):
    class Unfitted(TopicModel):
        topics_ = TopicModel(1, random_state=0).fit(TEXTS[:8]).topics_

    with pytest.raises(NotFittedError):
        edit(Unfitted())


def test_learner_of_another_library(model):
    found = TopicModel(4, learner=NMF(), random_state=0).fit(TEXTS)
    assert found.merge([[0, 1]]).n_topics_ == 3
    for edit in (found.split, lambda id: found.forbid(["goal"])):
        with pytest.raises(TypeError, match="Use merge, reduce or rename, or another learner"):
            edit(0)
    with pytest.raises(TypeError, match="score expected a learner with `score`, got NMF"):
        found.score(TEXTS)


def test_vectorizer_without_vocabulary():
    found = TopicModel(4, vectorizer=make_pipeline(CountVectorizer(), TfidfTransformer()), random_state=0).fit(TEXTS)
    np.testing.assert_array_equal(found.refit(TEXTS).merge([[0, 1]]).labels_, found.merge([[0, 1]]).labels_)
    for edit in (lambda: found.forbid(["goal"]), lambda: found.seed({"a": ["goal"]})):
        with pytest.raises(TypeError, match="`vectorizer` must have a vocabulary_"):
            edit()


@pytest.mark.parametrize(
    "parameters", [{"embedder": lambda texts: texts}, {"vectorizer": CountVectorizer(tokenizer=lambda text: text)}]
)
def test_lambda_cannot_be_saved(parameters, model, tmp_path):
    pytest.importorskip("skops")
    with pytest.raises(TypeError, match="Define this function in a module"):
        copy(model).set_params(**parameters).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
