"""The models that are compared: ours at their defaults and those of other packages at theirs, on the same corpus."""

from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, LatentDirichletAllocation, MiniBatchNMF

from benchmarks.corpora import Matrix
from benchmarks.peers import GSDMM, TomotopyLDA
from codebooks import InhibitedMixture, KrotovHopfield, MultinomialMixture, OrthogonalSparseCoding


class Contender(NamedTuple):
    """How a model is built, and which matrix it is meant for."""

    build: Any  # (n_components, seed) -> estimator
    input: str = "X"  # or "counts"
    package: str = "scikit-learn"


OURS = {
    "multinomial": Contender(lambda k, seed: MultinomialMixture(k, random_state=seed)),
    "Krotov-Hopfield": Contender(lambda k, seed: KrotovHopfield(k, random_state=seed)),
    "mixture": Contender(lambda k, seed: InhibitedMixture(k, random_state=seed)),
    "OSC": Contender(lambda k, seed: OrthogonalSparseCoding(k, random_state=seed)),
}
RECOMMENDED = "multinomial"  # of OURS: what the command line takes, and what is compared with every peer
PEERS = {
    "NMF": Contender(lambda k, seed: NMF(k, random_state=seed)),
    "MiniBatchNMF": Contender(lambda k, seed: MiniBatchNMF(k, random_state=seed)),
    "KMeans": Contender(lambda k, seed: KMeans(k, n_init=1, random_state=seed)),
    "LDA": Contender(lambda k, seed: LatentDirichletAllocation(k, random_state=seed), input="counts"),
    "GSDMM": Contender(GSDMM, input="counts", package="topica"),
    "tomotopy LDA": Contender(TomotopyLDA, input="counts", package="tomotopy"),
}
CONTENDERS = {**OURS, **PEERS}


def matrix_for(contender: Contender, corpus: Matrix) -> Any:
    """The matrix of `corpus` that the contender is meant for."""
    return getattr(corpus, contender.input)


def is_installed(name: str) -> bool:
    """Whether the package of a contender can be imported."""
    package = CONTENDERS[name].package
    return package == "scikit-learn" or find_spec(package) is not None


def labels_of(model: Any, X: Any) -> np.ndarray:
    """The component of each row that the model was fitted on, -1 where it has none."""
    if hasattr(model, "predict"):
        return np.asarray(model.predict(X))
    if hasattr(model, "labels_"):
        return np.asarray(model.labels_)
    codes = model.transform(X)  # of a peer: ours can all predict
    return np.where(codes.any(axis=1), codes.argmax(axis=1), -1)
