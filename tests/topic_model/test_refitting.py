"""`TopicModel.refit` and `replay`: ids that stay, restrictions that stay in effect, and edits that are repeated."""

import pickle
from copy import copy

import numpy as np
import pytest
from planted_texts import make_texts
from sklearn.decomposition import NMF

from codebooks import TopicModel
from codebooks.datasets import load_glosses

TEXTS, LABELS = make_texts()
GLOSSES = load_glosses().documents
ORDER = np.random.default_rng(0).permutation(len(GLOSSES))
WINDOW = [GLOSSES[i] for i in ORDER[:1000]]
NEXT_WINDOW = [GLOSSES[i] for i in ORDER[100:1100]]


@pytest.fixture(scope="module")
def model():
    return TopicModel(4, random_state=0).fit(TEXTS)


@pytest.fixture(scope="module")
def glosses():
    return TopicModel(8, random_state=0).fit(WINDOW)


class TestRefit:
    def test_most_shared_documents_keep_their_topic(self, glosses):
        refitted = glosses.refit(NEXT_WINDOW)
        assert (glosses.labels_[100:] == refitted.labels_[:900]).mean() > 0.85
        assert refitted.matching_.share_kept > 0.85
        assert glosses.labels_.shape == (1000,)

    def test_same_documents_in_another_order(self, model):
        order = np.random.default_rng(1).permutation(len(TEXTS))
        refitted = model.refit([TEXTS[i] for i in order])
        np.testing.assert_array_equal(refitted.labels_, model.labels_[order])
        assert {change.event for change in refitted.matching_.table} == {"kept"}

    def test_new_theme_gets_a_new_topic(self):
        old, _ = make_texts(("sport", "money", "music"))
        found = TopicModel(3, random_state=0).fit(old)
        refitted = found.refit([*old, *make_texts(("space",), n=40)[0]])
        assert refitted.predict(["rocket orbit planet"]).tolist() == [3]
        np.testing.assert_array_equal(refitted.labels_[: len(old)], found.labels_)
        assert [change.new_ids for change in refitted.matching_.table if change.event == "born"] == [(3,)]

    def test_topic_without_documents_ends(self, model):
        left = [text for text, theme in zip(TEXTS, LABELS, strict=True) if theme != "space"]
        space = int(model.predict(["rocket orbit planet"])[0])
        refitted = model.refit(left)
        assert space not in refitted.topic_ids_
        assert [change.old_ids for change in refitted.matching_.table if change.event == "died"] == [(space,)]

    def test_other_words(self, model):
        texts, _ = make_texts(seed=5)
        refitted = model.refit([text.replace("goal", "touchdown") for text in texts])
        assert "touchdown" in refitted.vectorizer_.get_feature_names_out()
        sport = model.predict(["match team player"])
        assert refitted.predict(["touchdown", "match team player"]).tolist() == [sport[0], sport[0]]

    def test_edits_stay_in_effect(self, model):
        music = int(model.predict(["guitar band song"])[0])
        sport = int(model.predict(["goal match team"])[0])
        space, money = (int(model.predict([text])[0]) for text in ("rocket orbit", "bank loan"))
        edited = model.merge([[sport, space]]).rename({music: "music"}).forbid(["bank"]).pin(music)
        kept = int(edited.predict(["goal match team"])[0])
        row = LABELS.index("money")
        refitted = edited.move(row, music).refit(TEXTS[1:])
        assert refitted.n_topics_ == 3
        assert refitted.predict(["goal match team", "rocket orbit"]).tolist() == [kept, kept]
        assert refitted.topics_[refitted.topic_ids_.tolist().index(music)].name == "music"
        assert "bank" not in refitted.vectorizer_.get_feature_names_out()
        assert refitted.labels_[row - 1] == music
        assert refitted.predict(["loan interest credit"]).tolist() == [money]

    def test_seeded_words_stay(self, model):
        refitted = model.seed({"animals": ["goal", "moon"]}).refit(TEXTS)
        animals = next(topic for topic in refitted.topics_ if topic.name == "animals")
        names = refitted.vectorizer_.get_feature_names_out().tolist()
        owners = refitted.topic_ids_[refitted._component_topics]
        for word in ("goal", "moon"):
            assert owners[refitted.learner_.components_[:, names.index(word)].argmax()] == animals.id

    def test_learner_of_another_library(self):
        found = TopicModel(4, learner=NMF(), random_state=0).fit(TEXTS)
        refitted = found.refit(TEXTS[4:])
        np.testing.assert_array_equal(refitted.labels_, found.labels_[4:])

    def test_error_leaves_the_model_unchanged(self, model):
        before = vars(model).copy()
        for documents in ([], "text", ["", ""]):
            with pytest.raises((TypeError, ValueError)):
                model.refit(documents)
        assert vars(model) == before

    def test_setting_out_of_range(self, model):
        with pytest.raises(ValueError, match="`reject_below` must be"):
            copy(model).set_params(reject_below="always").refit(TEXTS)

    def test_all_documents_rejected(self):
        found = TopicModel(4, reject_below=1.0, random_state=0).fit(TEXTS)
        assert (found.labels_ == -1).all()
        assert set(found.topic_ids_.tolist()) <= set(found.refit(TEXTS).topic_ids_.tolist())


class TestReplay:
    def test_ids_of_created_topics_follow_new_ones(self):
        texts, _ = make_texts(("sport", "money", "music"), n=20)
        edited = TopicModel(3, random_state=0).fit(texts).split(0).rename({3: "part"})
        part = edited.topics_[-1].words
        again = edited.replay([*texts, *make_texts(("space",), n=40)[0]])
        assert again.topic_ids_.tolist() == [0, 1, 2, 3, 4]
        [named] = [topic for topic in again.topics_ if topic.name == "part"]
        assert set(named.words[:3]) <= set(part)

    def test_topic_that_these_documents_do_not_have(self, model):
        with pytest.raises(ValueError, match="replay cannot repeat merge on these documents"):
            model.merge([[0, 1]]).replay(["zeta eta theta", "eta theta iota"] * 20)

    def test_topic_that_refit_created(self):
        texts, _ = make_texts(("sport", "money", "music"), n=20)
        found = TopicModel(3, random_state=0).fit(texts).rename({0: "zero"})
        found = found.refit([*texts, *make_texts(("space",), n=40)[0]]).split(0).rename({3: "space"})
        with pytest.raises(ValueError, match="Topic 3 was created by refit"):
            found.replay(texts)

    def test_fit_of_either_model_starts_a_new_history(self):
        first = TopicModel(4, random_state=0).fit(TEXTS)
        edited = first.merge([[0, 3]])
        first.set_params(n_topics=2).fit(TEXTS)
        assert edited.replay(TEXTS).topic_ids_.tolist() == edited.topic_ids_.tolist()
        edited.set_params(n_topics=3).fit(TEXTS)
        assert edited.replay(TEXTS).n_topics_ == 3
        size = len(pickle.dumps(edited.rename({0: "a"})))
        for _ in range(3):
            edited = edited.rename({0: "a"}).fit(TEXTS)
        assert len(pickle.dumps(edited.rename({0: "a"}))) == size

    def test_edits_are_repeated(self, model):
        edited = model.merge([[0, 1]]).rename({2: "two"}).move([5], 3)
        again = edited.replay(TEXTS[::-1])
        np.testing.assert_array_equal(again.labels_, edited.labels_[::-1])
        assert [edit.method for edit in again.history_] == ["merge", "rename", "move"]
        assert again.topics_[1].name == edited.topics_[1].name

    def test_moves_of_other_documents_are_left_out(self, model):
        again = model.move([0], 3).merge([[0, 1]]).replay(TEXTS[1:])
        assert [edit.method for edit in again.history_] == ["merge"]

    def test_model_without_edits(self, model):
        np.testing.assert_array_equal(model.replay(TEXTS).labels_, model.labels_)
