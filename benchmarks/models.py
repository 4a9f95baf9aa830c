"""Topic models that are compared: ours and those of other packages, all at their defaults."""

from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, LatentDirichletAllocation, MiniBatchNMF

from benchmarks.corpora import Matrix
from benchmarks.peers import GSDMM, TomotopyLDA
from codebooks import InhibitedMixture, KrotovHopfield, MultinomialMixture, OrthogonalSparseCoding


class ModelSpec(NamedTuple):
    """How a model is built, and which matrix it expects."""

    build: Any  # (n_components, seed) -> estimator
    input: str = "X"  # or "counts"
    package: str = "scikit-learn"


OURS = {
    "multinomial": ModelSpec(lambda k, seed: MultinomialMixture(k, random_state=seed)),
    "Krotov-Hopfield": ModelSpec(lambda k, seed: KrotovHopfield(k, random_state=seed)),
    "mixture": ModelSpec(lambda k, seed: InhibitedMixture(k, random_state=seed)),
    "OSC": ModelSpec(lambda k, seed: OrthogonalSparseCoding(k, random_state=seed)),
}
RECOMMENDED = "multinomial"  # the default of the command line; compared with every peer
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
    """Return the matrix of `corpus` that the model expects."""
    return getattr(corpus, spec.input)


def is_installed(name: str) -> bool:
    """Return whether the package of a model is installed."""
    package = MODELS[name].package
    return package == "scikit-learn" or find_spec(package) is not None


def get_labels(model: Any, X: Any) -> np.ndarray:
    """Return the component of each training row, -1 for rows without one."""
    if hasattr(model, "predict"):
        return np.asarray(model.predict(X))
    if hasattr(model, "labels_"):
        return np.asarray(model.labels_)
    codes = model.transform(X)  # only peers have no `predict`
    return np.where(codes.any(axis=1), codes.argmax(axis=1), -1)
