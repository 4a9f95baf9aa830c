"""`TopicModel`: fitting, prediction, description of topics, and what scikit-learn expects of an estimator."""

import pickle

import numpy as np
import pytest
from planted_texts import THEMES, make_texts
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import normalized_mutual_info_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from codebooks import KrotovHopfield, OrthogonalSparseCoding, TopicModel

TEXTS, LABELS = make_texts()


@pytest.fixture(scope="module")
def model():
    return TopicModel(4, random_state=0).fit(TEXTS)


@parametrize_with_checks([TopicModel()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


class TestFit:
    def test_planted_topics(self, model):
        assert normalized_mutual_info_score(LABELS, model.labels_) == pytest.approx(1)
        for topic in model.topics_:
            assert any(set(topic.words) <= set(words.split()) for words in THEMES.values())

    def test_number_of_topics_is_found(self):
        texts, labels = make_texts(n=60)
        found = TopicModel(random_state=0).fit(texts)
        assert found.n_topics_ == 4
        assert "4" in found.selection_.reason
        assert normalized_mutual_info_score(labels, found.labels_) == pytest.approx(1)

    def test_ids_descend_by_size(self):
        texts = [*make_texts(("sport",), n=80)[0], *make_texts(("money",), n=40)[0], *make_texts(("music",), n=20)[0]]
        found = TopicModel(3, random_state=0).fit(texts)
        assert [topic.size for topic in found.topics_] == [80, 40, 20]
        assert found.topic_ids_.tolist() == [topic.id for topic in found.topics_] == [0, 1, 2]

    def test_same_seed_gives_same_topics(self, model):
        again = TopicModel(4, random_state=0).fit(TEXTS)
        np.testing.assert_array_equal(again.labels_, model.labels_)
        assert str(again.topics_) == str(model.topics_)

    def test_refitting_leaves_nothing_behind(self, model):
        used = TopicModel(3, random_state=1).fit(TEXTS[:60]).merge([[0, 1]])
        used.set_params(n_topics=4, random_state=0).fit(TEXTS)
        np.testing.assert_array_equal(used.labels_, model.labels_)
        assert used.history_ == ()

    @pytest.mark.parametrize("learner", [KrotovHopfield(), NMF()], ids=["KrotovHopfield", "NMF"])
    def test_other_learners(self, learner):
        found = TopicModel(4, learner=learner, random_state=0).fit(TEXTS)
        assert normalized_mutual_info_score(LABELS, found.labels_) > 0.9
        np.testing.assert_allclose(found.transform(TEXTS).sum(axis=1), 1, rtol=1e-5)

    def test_vectorizer(self):
        vectorizer = CountVectorizer(vocabulary=["goal", "team", "bank", "loan"])
        found = TopicModel(2, vectorizer=vectorizer, random_state=0).fit(TEXTS)
        assert {word for topic in found.topics_ for word in topic.words} <= {"goal", "team", "bank", "loan"}
        assert not hasattr(vectorizer, "fixed_vocabulary_")

    def test_stop_words_are_added_to_those_of_the_language(self):
        texts = [f"the goal of the {word}" for word in ("match", "team", "match", "team")]
        found = TopicModel(1, language="en", stop_words=["goal"]).fit(texts)
        assert set(found.vectorizer_.get_feature_names_out()) == {"match", "team"}

    def test_embedder_groups_and_words_describe(self):
        def embed(texts):
            return np.array(
                [[sum(word in text for word in words.split()) for words in THEMES.values()] for text in texts]
            )

        found = TopicModel(4, embedder=embed, random_state=0).fit(TEXTS)
        assert normalized_mutual_info_score(LABELS, found.labels_) > 0.9
        assert any(set(topic.words) <= set(THEMES["music"].split()) for topic in found.topics_)
        np.testing.assert_array_equal(found.predict(TEXTS[:8]), found.labels_[:8])
        assert normalized_mutual_info_score(LABELS, found.forbid(["goal"]).split(0).labels_) > 0.8


class TestSmallInput:
    @pytest.mark.parametrize("n", [1, 2, 3, 5, 12])
    @pytest.mark.parametrize("n_topics", ["auto", 1, 3])
    def test_few_documents(self, n, n_topics):
        found = TopicModel(n_topics, random_state=0).fit(TEXTS[:n])
        assert len(found.labels_) == n
        np.testing.assert_allclose(found.transform(TEXTS[:n]).sum(axis=1), 1, rtol=1e-5)

    def test_equal_documents(self):
        found = TopicModel(random_state=0).fit(["red car"] * 60)
        assert set(found.labels_.tolist()) == {found.topic_ids_[0]}
        assert len(found.topics_[0].documents) == 1

    def test_many_equal_documents_and_few_others(self):
        texts = ["red car"] * 500 + ["bread and butter"] * 5
        labels = TopicModel(random_state=0).fit(texts).labels_
        assert len({*labels[:500].tolist()}) == len({*labels[500:].tolist()}) == 1
        assert labels[0] != labels[-1]

    def test_empty_documents_have_no_topic(self):
        found = TopicModel(4, random_state=0).fit([*TEXTS, "", "..."])
        assert found.labels_[-2:].tolist() == [-1, -1]
        assert found.predict(["", "zebra"]).tolist() == [-1, -1]
        np.testing.assert_allclose(found.transform(["", "zebra"]), 1 / 4)

    def test_no_documents_at_prediction(self, model):
        assert model.transform([]).shape == (0, 4)
        assert model.predict([]).shape == (0,)


class TestPrediction:
    def test_shares_sum_to_one_and_lead_to_the_prediction(self, model):
        shares = model.transform(TEXTS)
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(model.topic_ids_[shares.argmax(axis=1)], model.predict(TEXTS))
        np.testing.assert_array_equal(model.predict(TEXTS), model.labels_)

    def test_document_about_two_topics(self, model):
        text = f"{THEMES['sport']} {THEMES['money']}"
        two = sorted(model.transform([text])[0])[-2:]
        assert min(two) > 0.3

    def test_fit_transform_equals_fit_then_transform(self, model):
        np.testing.assert_allclose(
            TopicModel(4, random_state=0).fit_transform(TEXTS), model.transform(TEXTS), atol=1e-6
        )

    def test_score_is_higher_for_documents_of_the_topics(self, model):
        rng = np.random.default_rng(0)
        words = " ".join(THEMES.values()).split()
        mixed = [" ".join(rng.choice(words, 8)) for _ in range(50)]
        assert model.score(TEXTS) > model.score(mixed)

    def test_pandas_output(self, model):
        pytest.importorskip("pandas")
        frame = clone(model).set_output(transform="pandas").fit(TEXTS).transform(TEXTS[:2])
        assert frame.columns.tolist() == ["topic_0", "topic_1", "topic_2", "topic_3"]


class TestDescription:
    def test_fields_of_topics(self, model):
        for topic in model.topics_:
            assert topic.size == (model.labels_ == topic.id).sum()
            assert topic.name
            assert set(topic.name.split(", ")) <= set(topic.words)
            assert -1 <= topic.coherence <= 1
            assert len(topic.documents) == len(set(topic.documents)) == 3
            assert all(model.labels_[TEXTS.index(text)] == topic.id for text in topic.documents)
        assert len({topic.name for topic in model.topics_}) == 4

    def test_table(self, model):
        frame = pytest.importorskip("pandas") and model.topics_.to_frame()
        assert {"id", "name", "size", "usage", "coherence", "words", "documents"} <= set(frame.columns)
        assert "<table" in model.topics_._repr_html_()

    def test_names_do_not_repeat_forms_of_a_word(self):
        texts = ["game games player referee", "game games referee player"] * 10 + ["moon star planet"] * 10
        found = TopicModel(2, random_state=0, language=None).fit(texts)
        names = [topic.name.split(", ") for topic in found.topics_]
        assert not any({"game", "games"} <= set(name) for name in names)


class TestComposition:
    def test_pipeline_and_grid_search(self):
        pipeline = make_pipeline(TopicModel(random_state=0), LogisticRegression())
        search = GridSearchCV(pipeline, {"topicmodel__n_topics": [2, 4]}, cv=2).fit(TEXTS, LABELS)
        assert search.best_params_ == {"topicmodel__n_topics": 4}
        assert search.best_score_ > 0.95

    def test_grid_search_by_its_own_score(self):
        search = GridSearchCV(TopicModel(random_state=0), {"n_topics": [1, 4]}, cv=2).fit(TEXTS)
        assert search.best_params_ == {"n_topics": 4}

    def test_clone_and_pickle(self, model):
        assert clone(model).get_params() == model.get_params()
        copied = pickle.loads(pickle.dumps(model.merge([[0, 1]])))
        np.testing.assert_array_equal(copied.predict(TEXTS), model.merge([[0, 1]]).predict(TEXTS))

    def test_topics_of_k_means_are_its_clusters(self):
        found = TopicModel(4, learner=KMeans(n_init=3), random_state=0).fit(TEXTS)
        assert normalized_mutual_info_score(found.learner_.labels_, found.labels_) == pytest.approx(1)
        np.testing.assert_allclose(found.transform(TEXTS).sum(axis=1), 1, rtol=1e-5)

    def test_retriever(self, model):
        [ids] = model.retriever().search("telescope galaxy", k=3).ids
        assert all("telescope" in TEXTS[i] or "galaxy" in TEXTS[i] for i in ids)


class TestSeedWords:
    def test_seeded_words_belong_to_their_topic(self):
        seeds = {"finance": ["bank", "stock"], "astronomy": ["moon"]}
        found = TopicModel(4, seed_words=seeds, random_state=0).fit(TEXTS)
        by_name = {topic.name: topic for topic in found.topics_}
        assert set(by_name["finance"].words) <= set(THEMES["money"].split())
        assert set(by_name["astronomy"].words) <= set(THEMES["space"].split())
        assert normalized_mutual_info_score(LABELS, found.labels_) > 0.9
        names = found.vectorizer_.get_feature_names_out().tolist()
        owners = found.topic_ids_[found._component_topics]
        for name, words in seeds.items():
            for word in words:
                column = found.learner_.components_[:, names.index(word)]
                assert owners[column.argmax()] == by_name[name].id
                assert (column > 0).sum() == 1

    def test_seeds_alone(self):
        found = TopicModel(1, seed_words={"a": ["bank"], "b": ["moon"]}, random_state=0).fit(TEXTS)
        assert sorted(topic.name for topic in found.topics_) == ["a", "b"]

    def test_fit_twice_gives_the_same(self):
        one = TopicModel(4, seed_words={"finance": ["bank"]}, random_state=0)
        labels = one.fit(TEXTS).labels_
        np.testing.assert_array_equal(one.fit(TEXTS).labels_, labels)


class TestErrors:
    @pytest.mark.parametrize(
        ("documents", "error", "message"),
        [
            ([], ValueError, "at least one document"),
            ("one text", TypeError, "list of texts"),
            ([1, 2], TypeError, "index 0"),
            ([["a"], ["b"]], TypeError, "index 0"),
            (np.ones((3, 2)), TypeError, "shape"),
            (None, TypeError, "NoneType"),
            (["", "  "], ValueError, "words"),
            (["the of and"] * 3, ValueError, "words"),
        ],
    )
    def test_documents(self, documents, error, message):
        model = TopicModel(2, random_state=0, language="en").fit(TEXTS)
        before = vars(model).copy()
        with pytest.raises(error, match=message) as caught:
            model.fit(documents)
        assert len(str(caught.value)) < 500
        assert vars(model) == before

    @pytest.mark.parametrize(
        "parameters",
        [
            {"n_topics": 0},
            {"n_topics": 2.5},
            {"n_topics": "many"},
            {"n_topics": True},
            {"reject_below": "never"},
            {"reject_below": np.nan},
            {"stop_words": "the"},
            {"stop_words": [1]},
            {"stop_words": ["the"], "vectorizer": CountVectorizer()},
            {"learner": "NMF"},
            {"seed_words": ["bank"]},
            {"seed_words": {"a": ["zebra"]}},
            {"seed_words": {"a": ["bank"], "b": ["bank"]}},
            {"seed_words": {"a": [1]}},
            {"seed_words": 5},
            {"seed_words": {0: ["bank"]}},
            {"seed_words": {"a": ["bank"]}, "learner": OrthogonalSparseCoding()},
            {"seed_words": {"a": ["bank"]}, "learner": NMF()},
            {"seed_words": {"a": ["zebra"]}, "vectorizer": CountVectorizer(vocabulary=["goal", "zebra"])},
            {"vectorizer": HashingVectorizer()},
            {"stop_words": 5},
            {"embedder": 3},
            {"language": "klingon"},
            {"random_state": "x"},
        ],
        ids=str,
    )
    def test_parameters(self, parameters):
        with pytest.raises((ValueError, TypeError)) as caught:
            TopicModel(**{"n_topics": 2, **parameters}).fit(TEXTS)
        assert next(iter(parameters)) in str(caught.value)
        assert len(str(caught.value)) < 500

    @pytest.mark.parametrize("method", ["transform", "predict", "score", "confidence"])
    def test_unfitted(self, method):
        with pytest.raises(NotFittedError):
            getattr(TopicModel(), method)(TEXTS)
