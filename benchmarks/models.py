"""The models that are compared: ours at their defaults and those of other packages at theirs, on the same corpus."""

from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, LatentDirichletAllocation, MiniBatchNMF

from benchmarks.corpora import Matrix
from benchmarks.peers import GSDMM, TomotopyLDA
from codebooks import InhibitedMixture, KrotovHopfield, MultinomialMixture, OrthogonalSparseCoding


class ModelSpec(NamedTuple):
    """How a model is built, and which matrix it is meant for."""

    build: Any  # (n_components, seed) -> estimator
    input: str = "X"  # or "counts"
    package: str = "scikit-learn"


OURS = {
    "multinomial": ModelSpec(lambda k, seed: MultinomialMixture(k, random_state=seed)),
    "Krotov-Hopfield": ModelSpec(lambda k, seed: KrotovHopfield(k, random_state=seed)),
    "mixture": ModelSpec(lambda k, seed: InhibitedMixture(k, random_state=seed)),
    "OSC": ModelSpec(lambda k, seed: OrthogonalSparseCoding(k, random_state=seed)),
}
RECOMMENDED = "multinomial"  # of OURS: what the command line takes, and what is compared with every peer
PEERS = {
    "NMF": ModelSpec(lambda k, seed: NMF(k, random_state=seed)),
    "MiniBatchNMF": ModelSpec(lambda k, seed: MiniBatchNMF(k, random_state=seed)),
    "KMeans": ModelSpec(lambda k, seed: KMeans(k, n_init=1, random_state=seed)),
    "LDA": ModelSpec(lambda k, seed: LatentDirichletAllocation(k, random_state=seed), input="counts"),
    "GSDMM": ModelSpec(GSDMM, input="counts", package="topica"),
    "tomotopy LDA": ModelSpec(TomotopyLDA, input="counts", package="tomotopy"),
}
MODELS = {**OURS, **PEERS}


def select_matrix(spec: ModelSpec, corpus: Matrix) -> Any:
    """The matrix of `corpus` that the spec is meant for."""
    return getattr(corpus, spec.input)


def is_installed(name: str) -> bool:
    """Whether the package of a spec can be imported."""
    package = MODELS[name].package
    return package == "scikit-learn" or find_spec(package) is not None


def get_labels(model: Any, X: Any) -> np.ndarray:
    """The component of each row that the model was fitted on, -1 where it has none."""
    if hasattr(model, "predict"):
        return np.asarray(model.predict(X))
    if hasattr(model, "labels_"):
        return np.asarray(model.labels_)
    codes = model.transform(X)  # of a peer: ours can all predict
    return np.where(codes.any(axis=1), codes.argmax(axis=1), -1)
