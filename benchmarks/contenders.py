"""Who is compared: ours at its defaults and scikit-learn's at theirs, on the same matrix."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, LatentDirichletAllocation, MiniBatchNMF

from benchmarks.corpora import Matrix
from codebooks import InhibitedMixture, KrotovHopfield, OrthogonalSparseCoding


class Contender(NamedTuple):
    """How a model is built, and which matrix it is meant for."""

    build: Any  # (n_components, seed) -> estimator
    input: str = "X"  # or "counts"


OURS = {
    "Krotov-Hopfield": Contender(lambda k, seed: KrotovHopfield(k, random_state=seed)),
    "mixture": Contender(lambda k, seed: InhibitedMixture(k, random_state=seed)),
    "OSC": Contender(lambda k, seed: OrthogonalSparseCoding(k, random_state=seed)),
}
RECOMMENDED = "Krotov-Hopfield"  # what the command line takes, and what is held against every peer
PEERS = {
    "NMF": Contender(lambda k, seed: NMF(k, random_state=seed)),
    "MiniBatchNMF": Contender(lambda k, seed: MiniBatchNMF(k, random_state=seed)),
    "KMeans": Contender(lambda k, seed: KMeans(k, n_init=1, random_state=seed)),
    "LDA": Contender(lambda k, seed: LatentDirichletAllocation(k, random_state=seed), input="counts"),
}
CONTENDERS = {**OURS, **PEERS}


def matrix_for(contender: Contender, corpus: Matrix) -> Any:
    """The matrix of `corpus` that the contender is meant for."""
    return getattr(corpus, contender.input)


def labels_of(model: Any, X: Any) -> np.ndarray:
    """The unit that wins each row: `predict`, or the largest code, -1 where there is none."""
    if hasattr(model, "predict"):
        return np.asarray(model.predict(X))
    codes = model.transform(X)  # of a peer: ours can all predict
    return np.where(codes.any(axis=1), codes.argmax(axis=1), -1)
