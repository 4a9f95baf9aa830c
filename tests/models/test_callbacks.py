"""Callbacks of scikit-learn >= 1.9 on the learners."""

import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from codebooks import InhibitedMixture, KrotovHopfield, MultinomialMixture, OrthogonalSparseCoding
from codebooks.datasets import make_planted_corpus

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn >= 1.9 has callbacks")

LEARNERS = [
    lambda: InhibitedMixture(5, random_state=0),
    lambda: KrotovHopfield(5, random_state=0),
    lambda: KrotovHopfield(5, random_state=0, prune=True),
    lambda: MultinomialMixture(5, random_state=0),
    lambda: OrthogonalSparseCoding(5, random_state=0),
    lambda: OrthogonalSparseCoding(5, random_state=0, algorithm="online", max_iter=3),
]


class Recorder:
    """Callback that records its calls, and stops training after `n_epochs` epochs."""

    def __init__(self, n_epochs=1000):
        self.n_epochs, self.calls, self.scores = n_epochs, [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, metadata=None, fitted_estimator=None):
        self.calls.append(f"end {context.task_name}")
        self.scores.append(fitted_estimator.score(X, **metadata))
        return self.calls.count("end epoch") >= self.n_epochs

    def teardown(self, estimator, context):
        self.calls.append("teardown")


@pytest.fixture(scope="module")
def X():
    return make_planted_corpus(300, 5, random_state=0).X


@pytest.mark.parametrize("make", LEARNERS)
def test_callbacks_are_called_in_every_epoch_and_change_no_result(make, X):
    recorder = Recorder()
    model = make().set_callbacks(recorder).fit(X, sample_weight=range(300))
    n_epochs = recorder.calls.count("begin epoch")
    assert recorder.calls == ["setup", "begin fit", *["begin epoch", "end epoch"] * n_epochs, "end fit", "teardown"]
    assert 0 < n_epochs <= model.n_iter_
    assert n_epochs == model.n_iter_ or model.get_params().get("prune")
    assert recorder.scores[-1] == model.score(X, sample_weight=range(300))
    assert (model.components_ == make().fit(X, sample_weight=range(300)).components_).all()


@pytest.mark.parametrize("make", LEARNERS[:5])
def test_a_callback_stops_training(make, X):
    recorder = Recorder(2)
    model = make().set_callbacks(recorder).fit(X)
    assert recorder.calls.count("end epoch") == 2
    assert model.n_iter_ < make().fit(X).n_iter_
    assert model.labels_.shape == (300,)


def test_callbacks_are_closed_after_an_error(X):
    recorder = Recorder()
    model = KrotovHopfield(5, random_state=0).set_callbacks(recorder)
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, sample_weight=[1])
    assert recorder.calls == ["setup", "teardown"]
    assert not hasattr(model, "components_")
    assert not hasattr(clone(model).set_callbacks().fit(X), "_callback_fit_ctx")


def test_progress_bar_and_scores_of_a_pipeline(X, capsys):
    pytest.importorskip("rich")
    monitor = callback.ScoringMonitor(scoring={"score": lambda model, X, y: model.score(X)})
    model = KrotovHopfield(5, random_state=0, max_iter=5).set_callbacks(monitor)
    pipeline = make_pipeline(StandardScaler(with_mean=False), model).set_callbacks(callback.ProgressBar())
    pipeline.fit(X, [0] * 300)
    assert "KrotovHopfield" in capsys.readouterr().out
    scores = [row["score"] for row in monitor.get_logs().data]
    assert scores[-1] == pytest.approx(pipeline.score(X))
    assert len(scores) == model.n_iter_ + 1
