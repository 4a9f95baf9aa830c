"""Search by associative memory: BM25 exactly, and then one step that completes the query from what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import check_array, check_is_fitted

from codebooks import ops
from codebooks.models.hopfield_memory import HopfieldMemory
from codebooks.text.term_index import TermIndex
from codebooks.text.weighting import BM25Transformer

__all__ = ["AddedTerm", "Hits", "HopfieldRetriever"]

# Reciprocal rank fusion: a document of rank r gets 1 / (60 + r) from each list (Cormack, Clarke and Buettcher 2009).
_RANK_CONSTANT = 60
# So many documents of each list are fused at least.
_FUSED = 100
# Queries that are searched at a time.
_QUERIES = 1024


class Hits(NamedTuple):
    """What a search finds, best first."""

    ids: np.ndarray  # (n_queries, k) int64 or str; -1 or "" where nothing is left that shares a term with the query
    weights: np.ndarray  # (n_queries, k) scores, descending; 0 there


class AddedTerm(NamedTuple):
    """A term that the memory adds to a query, and why."""

    term: str
    weight: float  # in the completed query; the terms of the query itself have length 1 together
    because: list[tuple[Any, float]]  # ids of the documents that bring it, and the share of its weight each gives


class _State(NamedTuple):
    """All that a search needs, replaced as one."""

    vectorizer: Any  # fitted; None where counts are given instead of text
    stored: TermIndex
    memory: HopfieldMemory | None  # of the embedded documents, in the order of the index


class HopfieldRetriever(TransformerMixin, BaseEstimator):
    r"""Documents that are found by words, and by the words that these bring to mind.

    Documents are stored as BM25-weighted rows w of a Hopfield memory, so that a dot product with the counts q of a
    query is its BM25 score s, exactly. One associative step completes the query, and the completed one searches:

    .. math::

        p_i = \mathrm{sparsemax}(\beta s)_i \propto [s_i - s_{(n+1)}]_+, \qquad
        e = \sum_i p_i\, w_i / |w_i|, \qquad
        q' = q / |q| + \lambda\, e_{(m)} / |e_{(m)}|

    with :math:`s_{(n+1)}` the score of the first document that is left out, so the inverse temperature
    :math:`\beta` is that at which n documents have a weight, whatever the scale of the scores; :math:`e_{(m)}` keeps
    the m largest terms. It is what information retrieval calls pseudo-relevance feedback.

    Parameters
    ----------
    vectorizer : transformer of text to counts, optional
        Cloned and fitted to the documents. Left out, a `CountVectorizer` without scikit-learn's English stop words,
        which learns the terms of documents that are added later; others keep the terms that they were fitted with.
        Where matrices are given instead of text, none is used.
    weighting : "bm25", transformer of counts, or None, default="bm25"
        "bm25" is `BM25Transformer()`. None takes what the vectorizer gives as weights.
    feedback : int, default=1
        How many associative steps. 0 searches with the query as it is: plain BM25.
    feedback_documents : int, default=20
        How many documents complete a query (n above).
    feedback_terms : int, default=30
        How many terms they give to it (m).
    feedback_weight : float, default=2.0
        Weight of these terms against the query's own (:math:`\lambda`).
    embedder : object with `encode`, `transformer` or callable, optional
        Turns a list of texts into an array of embeddings. Then a second memory searches these by cosine, and both lists
        are fused by reciprocal rank [2]_.
    keep_texts : bool, default=False
        Whether the documents are kept, in `texts_`.

    Attributes
    ----------
    ids_ : ndarray of shape (n_documents,), int64 or str
        Names of the documents, in the order of storing.
    terms_ : ndarray of shape (n_terms,), str
        What the columns of completed queries mean.
    vectorizer_ : transformer or None
    texts_ : list of str or None
        With `keep_texts`.
    weights_ : CSR matrix of shape (n_documents, n_terms), float32
        The stored rows.

    Notes
    -----
    Weights and index are made at the first search after documents came or went, from all of them together: it pays to
    add many at once. Searches from several threads may go on while documents are added or removed; each sees the
    documents that were there when it began.

    References
    ----------
    .. [1] H. Ramsauer et al., "Hopfield Networks is All You Need", ICLR 2021 (arXiv 2008.02217).
    .. [2] G. V. Cormack, C. L. A. Clarke, S. Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual
       rank learning methods", SIGIR 2009.

    Examples
    --------
    >>> from codebooks import HopfieldRetriever
    >>> documents = ["the cat chased a mouse", "a mouse and a keyboard", "the keyboard of a piano", "a cat on the sofa"]
    >>> retriever = HopfieldRetriever().fit(documents)
    >>> hits = retriever.search(["cat mouse"], k=2)
    >>> hits.ids
    array([[0, 1]])
    >>> [added.term for added in retriever.expand("sofa")]
    ['cat']
    """

    def __init__(
        self,
        vectorizer: Any = None,
        *,
        weighting: Any = "bm25",
        feedback: int = 1,
        feedback_documents: int = 20,
        feedback_terms: int = 30,
        feedback_weight: float = 2.0,
        embedder: Any = None,
        keep_texts: bool = False,
    ):
        self.vectorizer = vectorizer
        self.weighting = weighting
        self.feedback = feedback
        self.feedback_documents = feedback_documents
        self.feedback_terms = feedback_terms
        self.feedback_weight = feedback_weight
        self.embedder = embedder
        self.keep_texts = keep_texts

    # -- storing -----------------------------------------------------------------------------------------------------

    def fit(self, documents: Any, y: Any = None, *, ids: Any = None) -> HopfieldRetriever:
        """Store documents.

        Parameters
        ----------
        documents : sequence of str, or matrix of shape (n_documents, n_terms)
            Texts, or counts of terms where there is no text.
        y : ignored
        ids : sequence of int or of str, optional
            Their names, no two alike; left out, 0, 1, ...

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If documents are neither texts nor numbers.
        ValueError
            If a setting is out of range, there is no document or no term, or `ids` do not fit.
        """
        self._check_settings()
        vectorizer = None
        if _is_matrix(documents):
            counts, texts = self._document_counts(documents), None
        else:
            texts = _checked_texts(documents, "fit")
            vectorizer = self._new_vectorizer()
            counts = csr_matrix(vectorizer.fit_transform(texts), dtype=np.float32)
        counts.sort_indices()
        names = _checked_ids(ids, counts.shape[0], 0)
        weighting = BM25Transformer() if isinstance(self.weighting, str) else self.weighting
        next_id = _next_id(names, 0)
        index = TermIndex(counts, names, weighting, list(texts) if texts and self.keep_texts else None, next_id)
        memory = HopfieldMemory("cosine").fit(self._embedded(texts)) if self.embedder is not None else None
        _ = index.weighted  # a weighting that fails does so here
        self._state = _State(vectorizer, index, memory)
        return self

    def add(self, documents: Any, ids: Any = None) -> HopfieldRetriever:
        """Store more documents beside those that are there.

        Parameters
        ----------
        documents : sequence of str, or matrix of shape (n_documents, n_terms)
            Of the kind that `fit` got.
        ids : sequence of int or of str, optional
            Their names; left out, numbers that have never been used here.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an id is there already, or documents are named by str and these are not named; then nothing is added.
        """
        state = self._fitted()
        vectorizer, texts = state.vectorizer, None
        if vectorizer is None:
            counts = self._document_counts(documents)
            if counts.shape[1] != state.stored.counts.shape[1]:
                raise ValueError(
                    f"add wants counts of {state.stored.counts.shape[1]} terms, as in fit, and got {counts.shape[1]}."
                )
        else:
            texts = _checked_texts(documents, "add")
            vectorizer = _grown(vectorizer, texts)
            counts = csr_matrix(vectorizer.transform(texts), dtype=np.float32)
        counts.sort_indices()
        index = state.stored
        names = _checked_ids(ids, counts.shape[0], index.next_id, index.ids)
        memory = state.memory
        if memory is not None:
            memory = copy(memory).partial_fit(self._embedded(texts))
        index = index.appended(counts, names, texts, _next_id(names, index.next_id))
        self._state = _State(vectorizer, index, memory)
        return self

    def remove(self, ids: Any) -> HopfieldRetriever:
        """Remove documents; all others keep their ids.

        Parameters
        ----------
        ids : id or sequence of ids

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an id is not there; then nothing is removed.
        """
        state = self._fitted()
        ids = np.atleast_1d(np.asarray(ids))
        missing = ids[~np.isin(ids, state.stored.ids)]
        if len(missing):
            named = ", ".join(map(str, missing[:10].tolist()))
            raise ValueError(f"remove wants ids that are there, see ids_, and got others: {named}. Nothing is removed.")
        removed = np.isin(state.stored.ids, ids)
        memory = state.memory
        if memory is not None:
            memory = copy(memory).forget(memory.ids_[removed])
        self._state = _State(state.vectorizer, state.stored.without(np.flatnonzero(~removed)), memory)
        return self

    # -- searching ---------------------------------------------------------------------------------------------------

    def search(self, queries: Any, k: int = 10) -> Hits:
        """The best documents for each query.

        Parameters
        ----------
        queries : str, sequence of str, or matrix of shape (n_queries, n_terms)
            One text is taken for a list of one.
        k : int, default=10

        Returns
        -------
        Hits
            `ids` and `weights`, both of shape (n_queries, k), best first, ties to the older document. Weights are BM25
            scores with `feedback=0`, else scores of completed queries, and reciprocal ranks with an embedder.

        Raises
        ------
        ValueError
            If k is not positive, or a setting is out of range.
        """
        state = self._fitted()
        self._check_settings()
        if not isinstance(k, Integral) or k < 1:
            raise ValueError(f"k must be a whole number from 1; {k!r} came.")
        counts, texts = self._counted(queries, state)
        depth = k if state.memory is None else max(k, _FUSED)
        found = [self._best(self._completed(q, state.stored), state.stored, depth) for q in _blocks(counts)]
        position, weight = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if state.memory is not None:
            position, weight = self._fused(position, texts, state, k)
        return _hits(position, weight, state.stored.ids, k)

    def transform(self, queries: Any) -> Any:
        """Complete queries: the vectors that `search` compares with documents.

        Parameters
        ----------
        queries : str, sequence of str, or matrix of shape (n_queries, n_terms)

        Returns
        -------
        CSR matrix of shape (n_queries, n_terms), float32
            Counts with `feedback=0`.
        """
        state = self._fitted()
        self._check_settings()
        counts, _ = self._counted(queries, state)
        return ops.stack_rows([self._completed(q, state.stored) for q in _blocks(counts)])

    def expand(self, query: Any, n_terms: int = 10) -> list[AddedTerm]:
        """The words that the memory adds to a query, and which documents bring them.

        Parameters
        ----------
        query : str, or matrix with one row
        n_terms : int, default=10
            How many words at most.

        Returns
        -------
        list of AddedTerm
            By falling weight; empty where nothing is found, or with `feedback=0`.
        """
        state = self._fitted()
        self._check_settings()
        counts, _ = self._counted(query, state)
        if counts.shape[0] != 1:
            raise ValueError(f"expand wants one query and got {counts.shape[0]}.")
        if not self.feedback:
            return []
        completed, index = self._completed(counts, state.stored), state.stored
        position, share = self._step(completed if self.feedback > 1 else counts, index)
        position, share = position[0][share[0] > 0], share[0][share[0] > 0]
        own, terms = set(counts.indices), self._terms(state)
        added = [(c, w) for c, w in zip(completed.indices, completed.data, strict=True) if c not in own]
        added.sort(key=lambda pair: (-pair[1], pair[0]))
        bring = (index.weighted.rows[position] if len(position) else index.weighted.rows[:0]).tocsc()
        result = []
        for column, weight in added[:n_terms]:
            parts = np.asarray(bring[:, [column]].todense()).ravel()
            parts = share * index.weighted.reciprocals[position] * parts
            most = np.argsort(-parts, kind="stable")[:3]
            because = [(index.ids[position[i]].item(), float(parts[i] / parts.sum())) for i in most if parts[i] > 0]
            result.append(AddedTerm(str(terms[column]), float(weight), because))
        return result

    def explain(self, query: Any, id: Any) -> tuple[dict[str, float], dict[str, float]]:
        """What a document owes its weight to.

        Parameters
        ----------
        query : str, or matrix with one row
        id : int or str
            The document.

        Returns
        -------
        matched, added : dict of str to float
            Terms of the query, and terms that the memory added to it, with what each gives; the largest first.
        """
        state = self._fitted()
        counts, _ = self._counted(query, state)
        (position,) = np.flatnonzero(state.stored.ids == id)[:1].tolist() or [None]
        if position is None:
            raise ValueError(f"explain wants the id of a document that is there, see ids_, and got {id!r}.")
        completed = self._completed(counts, state.stored)
        gives = csr_matrix(completed.multiply(state.stored.weighted.rows[[position]]))
        own, terms = set(counts.indices), self._terms(state)
        order = np.argsort(-gives.data, kind="stable")
        named = [(int(gives.indices[p]), float(gives.data[p])) for p in order if gives.data[p] > 0]
        matched = {str(terms[c]): value for c, value in named if c in own}
        added = {str(terms[c]): value for c, value in named if c not in own}
        return matched, added

    # -- what is stored ----------------------------------------------------------------------------------------------

    @property
    def ids_(self) -> np.ndarray:
        """Names of the documents."""
        return self._fitted_attribute().stored.ids

    @property
    def terms_(self) -> np.ndarray:
        """Names of the columns."""
        return self._terms(self._fitted_attribute())

    @property
    def vectorizer_(self) -> Any:
        """What counts the terms of a text."""
        return self._fitted_attribute().vectorizer

    @property
    def texts_(self) -> Any:
        """The documents, where they are kept."""
        return self._fitted_attribute().stored.texts

    @property
    def weights_(self) -> Any:
        """The stored rows."""
        return self._fitted_attribute().stored.weighted.rows

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The terms, names of the columns that `transform` gives."""
        return np.asarray(self._terms(self._fitted()), dtype=object)

    def __len__(self) -> int:
        return len(self._state.stored) if self.__sklearn_is_fitted__() else 0

    def __sklearn_is_fitted__(self) -> bool:
        return "_state" in vars(self)

    def _fitted(self) -> _State:
        check_is_fitted(self)
        return self._state

    def _fitted_attribute(self) -> _State:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} has no documents yet: call fit first")
        return self._state

    # -- one associative step ----------------------------------------------------------------------------------------

    def _completed(self, counts: Any, index: TermIndex) -> Any:
        """Queries with the terms that the memory adds."""
        state = counts
        for _ in range(self.feedback):
            position, share = self._step(state, index)
            weighted = index.weighted
            share = share * weighted.reciprocals[position]
            added = ops.gather_largest(position, share, weighted.rows, self.feedback_terms)
            state = _unit(counts) + self.feedback_weight * _unit(added)
        return csr_matrix(state, dtype=np.float32)

    def _step(self, queries: Any, index: TermIndex) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the documents that complete each query, and their shares: a sparsemax that reaches so many."""
        n = self.feedback_documents
        position, score = ops.best(queries, index.weighted.postings, n + 1)
        score = score.clip(0, None)
        left_out = score[:, n:] if score.shape[1] > n else np.zeros((len(score), 1), score.dtype)
        position, above = position[:, :n], (score - left_out)[:, :n]
        tied = ~above.any(axis=1)
        above[tied] = score[tied, :n] > 0  # as many as these share one score
        total = above.sum(axis=1, keepdims=True)
        return position, above / np.where(total > 0, total, 1)

    def _best(self, queries: Any, index: TermIndex, k: int) -> tuple[np.ndarray, np.ndarray]:
        weighted = index.weighted
        position, score = ops.best(queries, weighted.postings, k)
        position[score <= 0] = -1
        # What terms give to documents that lack them is the same for all.
        return position, np.where(position >= 0, score + (queries @ weighted.absent)[:, None], 0)

    def _fused(self, position: np.ndarray, texts: Any, state: _State, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Reciprocal ranks of both lists, summed."""
        n = len(state.stored)
        if n == 0 or state.memory is None:
            return position, np.zeros(position.shape)
        depth = min(position.shape[1], n)
        near = state.memory.kneighbors(self._embedded(texts), depth, return_distance=False)
        near = np.searchsorted(state.memory.ids_, near)
        out, weight = np.full((len(near), k), -1), np.zeros((len(near), k))
        for i, lists in enumerate(zip(position, near, strict=True)):
            scores: dict[int, float] = {}
            for ranked in lists:
                for rank, document in enumerate(ranked[ranked >= 0].tolist(), 1):
                    scores[document] = scores.get(document, 0.0) + 1 / (_RANK_CONSTANT + rank)
            first = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
            out[i, : len(first)] = [document for document, _ in first]
            weight[i, : len(first)] = [score for _, score in first]
        return out, weight

    # -- text --------------------------------------------------------------------------------------------------------

    def _document_counts(self, documents: Any) -> Any:
        counts = _checked_counts(documents)
        if self.weighting is not None and counts.nnz and counts.data.min() < 0:
            raise ValueError(f"Documents want counts and got negative numbers ({counts.data.min()}).")
        return counts

    def _new_vectorizer(self) -> Any:
        if self.vectorizer is None:
            return CountVectorizer(stop_words="english", dtype=np.float32)
        return clone(self.vectorizer)

    def _counted(self, queries: Any, state: _State) -> tuple[Any, list[str] | None]:
        n_terms = state.stored.counts.shape[1]
        if state.vectorizer is None:
            counts, texts = _checked_counts(queries, empty=True), None
            if counts.shape[1] != n_terms:
                raise ValueError(f"queries want {n_terms} columns, as the documents have; {counts.shape[1]} came.")
        else:
            texts = _checked_texts([queries] if isinstance(queries, str) else queries, "search")
            counts = csr_matrix(state.vectorizer.transform(texts), dtype=np.float32)
        counts.sort_indices()
        return counts, texts

    def _embedded(self, texts: list[str] | None) -> np.ndarray:
        if texts is None:
            raise ValueError("An embedder wants texts, and counts came. Give texts, or leave embedder out.")
        embedder = self.embedder
        encode = next(
            (getattr(embedder, name) for name in ("encode", "transform") if hasattr(embedder, name)), embedder
        )
        return check_array(encode(texts), dtype=[np.float64, np.float32])

    def _terms(self, state: _State) -> np.ndarray:
        if state.vectorizer is None:
            return np.arange(state.stored.counts.shape[1]).astype(str)
        return state.vectorizer.get_feature_names_out()

    def _check_settings(self) -> None:
        for name, least in (("feedback", 0), ("feedback_documents", 1), ("feedback_terms", 1)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name} must be a whole number from {least}; {value!r} came.")
        if not isinstance(self.feedback_weight, Real) or not 0 <= self.feedback_weight < np.inf:
            raise ValueError(f"feedback_weight must be a number from 0; {self.feedback_weight!r} came.")
        if isinstance(self.weighting, str) and self.weighting != "bm25":
            raise ValueError(f'weighting must be "bm25", a transformer of counts or None; {self.weighting!r} came.')


def _blocks(counts: Any) -> Iterator[Any]:
    for start in range(0, max(counts.shape[0], 1), _QUERIES):
        yield ops.take_rows(counts, slice(start, min(start + _QUERIES, counts.shape[0])))


def _unit(X: Any) -> Any:
    """Rows of a CSR matrix scaled to length 1."""
    scale = ops.reciprocal(ops.row_norms(X))
    return csr_matrix((X.data * np.repeat(scale, np.diff(X.indptr)), X.indices, X.indptr), shape=X.shape)


def _hits(position: np.ndarray, weight: np.ndarray, ids: np.ndarray, k: int) -> Hits:
    """Names for positions, in k columns."""
    missing: Any = "" if ids.dtype.kind == "U" else -1
    shape = len(position), k
    names, weights = np.full(shape, missing, ids.dtype), np.zeros(shape, weight.dtype)
    found = position >= 0
    n = position.shape[1]
    names[:, :n][found], weights[:, :n][found] = ids[position[found]], weight[found]
    return Hits(names, weights)


def _is_matrix(documents: Any) -> bool:
    return issparse(documents) or (isinstance(documents, np.ndarray) and documents.ndim == 2)


def _checked_counts(documents: Any, *, empty: bool = False) -> Any:
    if not _is_matrix(documents):
        raise TypeError(
            f"This retriever was fitted on a matrix of counts and wants one again, with a row for each text; "
            f"{type(documents).__name__} came."
        )
    return csr_matrix(check_array(documents, accept_sparse="csr", dtype=np.float32, ensure_min_samples=1 - empty))


def _checked_texts(documents: Any, method: str) -> list[str]:
    if isinstance(documents, str | bytes):
        raise TypeError(f"{method} wants a list of texts and got one text. Put it into a list: [text].")
    if issparse(documents) or not hasattr(documents, "__iter__"):
        raise TypeError(f"{method} wants a list of texts and got {type(documents).__name__}.")
    texts = list(documents)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{method} wants texts, and number {i} is {type(text).__name__}: {text!r:.60}.")
    return texts


def _checked_ids(ids: Any, n: int, next_id: int, there: np.ndarray | None = None) -> np.ndarray:
    """Names of n documents, unlike each other and unlike those that are there."""
    if ids is None:
        if there is not None and there.dtype.kind == "U":
            raise ValueError("The documents here are named by str: name the new ones too, with ids=.")
        return np.arange(next_id, next_id + n)
    names = np.asarray(ids)
    if names.dtype.kind not in "iuU" or names.shape != (n,):
        raise ValueError(
            f"ids must be {n} whole numbers or str, one for each document; {names.dtype} of shape {names.shape} came."
        )
    names = names if names.dtype.kind == "U" else names.astype(np.int64)
    if there is not None and len(there) and there.dtype.kind != names.dtype.kind:
        raise ValueError(
            "ids must be of one kind: those that are there are "
            + ("str." if there.dtype.kind == "U" else "whole numbers.")
        )
    if names.dtype.kind == "i" and n and names.min() < 0:
        raise ValueError(f"ids must not be negative, as -1 says that nothing was found; {names.min()} came.")
    values, counts = np.unique(names, return_counts=True)
    twice = values[counts > 1] if there is None else values[(counts > 1) | np.isin(values, there)]
    if len(twice):
        raise ValueError(f"ids must name one document each; already taken: {', '.join(map(str, twice[:10].tolist()))}.")
    return names


def _next_id(names: np.ndarray, so_far: int) -> int:
    return max(so_far, int(names.max()) + 1) if names.dtype.kind == "i" and len(names) else so_far


def _grown(vectorizer: Any, texts: Sequence[str]) -> Any:
    """A vectorizer that also counts the terms of these texts, where it learned its terms from documents."""
    if type(vectorizer) is not CountVectorizer or vectorizer.fixed_vocabulary_ or not texts:
        return vectorizer
    analyze, vocabulary = vectorizer.build_analyzer(), dict(vectorizer.vocabulary_)
    for text in texts:
        for term in analyze(text):
            vocabulary.setdefault(term, len(vocabulary))
    if len(vocabulary) == len(vectorizer.vocabulary_):
        return vectorizer
    grown = clone(vectorizer)
    grown.fixed_vocabulary_, grown.vocabulary_ = False, vocabulary
    return grown
