"""Topic models of other packages, with the part of scikit-learn's interface that the benchmarks use.

Their input is tokens instead of a matrix: `tokenize` makes the tokens, `train` fits the model, and `fit` does both.
Benchmarks time `train` alone. Each model uses one thread.
"""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator


def make_tokens(counts: Any) -> list[list[str]]:
    """Return documents as lists of column numbers, repeated by their counts."""
    counts = sparse.csr_matrix(counts)
    columns = np.repeat(counts.indices, counts.data.astype(np.int64)).astype(str).tolist()
    ends = np.append(0, np.asarray(counts.sum(axis=1), dtype=np.int64).cumsum())
    return [columns[start:stop] for start, stop in pairwise(ends)]


def _place_columns(weights: np.ndarray, vocabulary: list[str], n_features: int) -> np.ndarray:
    """Place the weights of a model's own vocabulary in the columns of the matrix."""
    components = np.zeros((len(weights), n_features))
    components[:, np.array(vocabulary, dtype=np.int64)] = weights
    return components


class _TokenModel(BaseEstimator):
    """Base class of models that learn from tokens and label their training documents.

    Attributes
    ----------
    components_ : ndarray of shape (n_topics, n_features)
        Probability of each term in each topic.
    labels_ : ndarray of shape (n_documents,)
        The topic of each training document.
    n_iter_ : int
        Number of sweeps over the documents.
    """

    def __init__(self, n_components: int, random_state: int = 0):
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> _TokenModel:
        """Fit to a matrix of counts; rows must not be empty."""
        return self.train(self.tokenize(X))

    def tokenize(self, X: Any) -> Any:
        """Return the documents in the format of the package."""
        raise NotImplementedError

    def train(self, documents: Any) -> _TokenModel:
        """Fit to the documents that `tokenize` returned."""
        raise NotImplementedError


class GSDMM(_TokenModel):
    """Mixture of multinomials by collapsed Gibbs sampling (Yin and Wang 2014), as `topica` sets it.

    Components that lose all documents are dropped, so there may be fewer than `n_components`.
    """

    def tokenize(self, X: Any) -> Any:
        """Encode the documents as a corpus of `topica`."""
        import topica

        self.n_features_in_ = X.shape[1]
        return topica.Corpus.from_documents(make_tokens(X))

    def train(self, documents: Any) -> GSDMM:
        """Sample the component of each document, with the default number of sweeps of `topica`."""
        import topica

        model = topica.GSDMM(self.n_components, seed=self.random_state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the number of components, which is given
            model.fit(documents)
        self.labels_ = np.asarray(model.doc_cluster, dtype=np.int64)
        self.components_ = _place_columns(model.topic_word, model.vocabulary, self.n_features_in_)
        self.n_iter_ = model.fit_history[-1][0]
        return self


class TomotopyLDA(_TokenModel):
    """Latent Dirichlet allocation by collapsed Gibbs sampling, as `tomotopy` sets it, 200 sweeps."""

    def __init__(self, n_components: int, random_state: int = 0, n_sweeps: int = 200):
        super().__init__(n_components, random_state)
        self.n_sweeps = n_sweeps

    def tokenize(self, X: Any) -> Any:
        """Add the documents to a new model of `tomotopy`."""
        from tomotopy import LDAModel

        self.n_features_in_ = X.shape[1]
        model = LDAModel(k=self.n_components, seed=self.random_state)
        for document in make_tokens(X):
            model.add_doc(document)
        return model

    def train(self, documents: Any) -> TomotopyLDA:
        """Run the sweeps with one worker."""
        documents.train(self.n_sweeps, workers=1)
        self.model_ = documents
        self.n_iter_ = self.n_sweeps
        return self

    @property
    def labels_(self) -> np.ndarray:
        """Topic with the largest share of each document."""
        return np.array([np.argmax(document.get_topic_dist()) for document in self.model_.docs])

    @property
    def components_(self) -> np.ndarray:
        """Probability of each term in each topic."""
        weights = np.array([self.model_.get_topic_word_dist(topic) for topic in range(self.n_components)])
        return _place_columns(weights, list(self.model_.used_vocabs), self.n_features_in_)
