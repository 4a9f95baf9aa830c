"""Confidence of a `TopicModel`: how well it fits documents, compared with unseen documents of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.topic_model.calibration import Calibration, calibrate
from codebooks.topic_model.fitted import Documents, FittedTopics, find_positions
from codebooks.topic_model.nearest import draw_reference, draw_sample, score_rows, transform_in_steps
from codebooks.topic_model.vocabulary import transform_texts
from codebooks.topic_model.word_likelihood import WordLikelihood, build_word_likelihood, count_terms

__all__ = ["AUTO", "ConfidenceMixin"]

# The confidence that "auto" stands for.
AUTO = 0.05
# Documents of which each is compared with the others, to estimate the scores of unseen ones.
_N_SAMPLE = 2000


class WordConfidence(NamedTuple):
    """Confidence from the likelihood of the words of a document."""

    likelihood: WordLikelihood
    calibration: Calibration

    def compute(self, documents: Documents) -> NDArray[Any]:
        """Compute the confidence of documents; 0 without known words."""
        scores = self.likelihood.score(documents.words, documents.evidence)
        return self.calibration.compute_levels(scores, documents.evidence) * (documents.words.getnnz(axis=1) > 0)


class EmbeddingConfidence(NamedTuple):
    """Confidence from the mean cosine with the nearest embeddings of the documents of the model."""

    calibration: Calibration

    def compute(self, documents: Documents) -> NDArray[Any]:
        """Compute the confidence of documents; 0 for an embedding of zeros."""
        levels = self.calibration.compute_levels(documents.evidence, np.ones(len(documents.evidence)))
        return levels * (ops.to_host(ops.row_norms(documents.features)) > 0)


class ConfidenceMixin(FittedTopics):
    """Methods that compare documents with those of the model."""

    reject_below_: float | None
    _confidence: WordConfidence | EmbeddingConfidence | None  # None without `reject_below`

    def confidence(self, documents: Sequence[str]) -> NDArray[Any]:
        """Compute how well the model fits documents, compared with unseen documents of the same kind.

        The confidence is the share of such unseen documents that fit less well: .5 is typical, and few documents of the
        same kind have less than .05. Documents of another kind mostly have. `predict` compares it with `reject_below`.

        For words, the fit is the mean log likelihood of the distinct words of the document under the mixture of topics.
        A word that the model does not know counts as if half a document had it. The mean and the variance of the fit
        depend on the number of words. With an `embedder` the fit is the mean cosine with the nearest ten of up to 5000
        documents of the model. The fit of unseen documents is estimated from up to 2000 documents of the model, leaving
        out each in turn.

        Parameters
        ----------
        documents : sequence of str

        Returns
        -------
        ndarray of shape (n_documents,)
            From 0 to 1; 0 without known words.

        See Also
        --------
        transform : Shares of topics, which are also given for documents that fit none.

        Examples
        --------
        >>> from codebooks import TopicModel
        >>> from codebooks.datasets import load_glosses
        >>> glosses = load_glosses()
        >>> model = TopicModel(12, reject_below="auto", random_state=0).fit(glosses.documents)
        >>> texts = ["a large bird of the forest", "cannot import numpy in python 3.12, pip fails with a traceback"]
        >>> (model.confidence(texts) < 0.05).tolist()
        [False, True]
        >>> (model.predict(texts) == -1).tolist()
        [False, True]
        """
        check_is_fitted(self)
        texts = self._check_documents(documents, empty=True)
        if not texts:
            return np.empty(0)
        confidence = self._confidence or self._build_confidence(self._find_topics(self._documents.features))
        return confidence.compute(self._compare(texts))

    def _predict(self, texts: list[str]) -> NDArray[Any]:
        """Return the ids of the topics of texts, with -1 for those that `reject_below` rejects."""
        if self._confidence is None:
            return self._find_topics(self._compute_features(texts)[1])
        documents = self._compare(texts)
        labels = self._find_topics(documents.features)
        return np.where(self._confidence.compute(documents) >= self.reject_below_, labels, -1)

    def _reject_documents(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return the labels of the documents of the model, with -1 for those that `reject_below` rejects."""
        self._confidence = None
        if getattr(self, "reject_below_", None) is None:
            return labels
        self._documents = self._add_evidence(self._documents)
        self._confidence = self._build_confidence(labels)
        return np.where(self._confidence.compute(self._documents) >= self.reject_below_, labels, -1)

    def _build_confidence(self, labels: NDArray[Any]) -> WordConfidence | EmbeddingConfidence:
        """Return what documents are compared with, from the documents of the model and their labels."""
        if self.preparation_ is not None:
            rows = self._documents.reference
            sample = draw_sample(rows.shape[0], _N_SAMPLE)
            scores = score_rows(ops.take_rows(rows, sample), rows, sample)
            return EmbeddingConfidence(calibrate(scores, np.ones(len(scores))))
        documents, sample = self._documents, draw_sample(len(self._documents.texts), _N_SAMPLE)
        positions = find_positions(self.topic_ids_, labels)
        likelihood = build_word_likelihood(documents.words, positions, len(self.topic_ids_))
        words = documents.words[sample]
        if documents.evidence is None:
            n_terms = count_terms(self.vectorizer_, [documents.texts[row] for row in sample], words)
        else:
            n_terms = documents.evidence[sample]
        scores = likelihood.score_left_out(words, n_terms, positions[sample])
        return WordConfidence(likelihood, calibrate(scores, n_terms))

    def _compare(self, texts: list[str]) -> Documents:
        """Return texts with the words, features and evidence from which labels and confidence are computed."""
        words = transform_texts(self.vectorizer_, texts)
        if self.preparation_ is None:
            return Documents(texts, words, words, count_terms(self.vectorizer_, texts, words))
        rows, features = transform_in_steps(self.preparation_, texts)
        return Documents(texts, words, features, score_rows(rows, self._documents.reference))

    def _add_evidence(self, documents: Documents) -> Documents:
        """Add the evidence to the documents of the model."""
        if documents.evidence is not None:
            return documents
        if self.preparation_ is None:
            evidence = count_terms(self.vectorizer_, documents.texts, documents.words)
            return documents._replace(evidence=evidence)
        return self._add_embeddings(documents, transform_in_steps(self.preparation_, documents.texts)[0])

    def _add_embeddings(self, documents: Documents, rows: Any) -> Documents:
        """Add a sample of the embeddings of the documents of the model, and the evidence if it is needed."""
        reference = draw_reference(rows)
        evidence = None if self.reject_below is None else score_rows(rows, reference)
        return documents._replace(reference=reference, evidence=evidence)
