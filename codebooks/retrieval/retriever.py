"""`HopfieldRetriever`: search by BM25 with relevance feedback of an associative memory."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks._documentation_link import DocumentationLink
from codebooks._fork_safe_lock import ForkSafeLock
from codebooks._tables import build_frame, format_html_table
from codebooks.errors import short_repr
from codebooks.memory._pattern_store import select_ids
from codebooks.memory.hopfield_memory import HopfieldMemory
from codebooks.retrieval import feedback, serialization
from codebooks.retrieval.explanations import AddedTerm, compute_contributions, find_added_terms
from codebooks.retrieval.index import FUNCTION_WORD_WEIGHT, TermIndex, drop_columns, find_invalid_counts
from codebooks.retrieval.rank_fusion import merge_candidates, rank_candidates, rescore_by_embedding
from codebooks.storage import load_arrays, save_arrays
from codebooks.storage.array_file import build_damage_error
from codebooks.text import counting
from codebooks.text.analyzer import TextAnalyzer
from codebooks.text.growing_vocabulary import extend_vocabulary
from codebooks.validation.arrays import check_count
from codebooks.validation.ids import check_ids, compute_next_id
from codebooks.validation.texts import (
    check_count_matrix,
    check_encoder_output,
    check_texts,
    is_matrix,
    replace_surrogates,
)

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AddedTerm", "HopfieldRetriever", "SearchResults"]

# The least number of candidates by words, and by embeddings, that hybrid search merges.
_N_FUSION_CANDIDATES = 100
# Parameters that are saved, and their types in JSON.
_PLAIN_SETTINGS: dict[str, type] = {
    "feedback": int,
    "feedback_documents": int,
    "feedback_terms": int,
    "feedback_weight": float,
    "embedding_weight": float,
    "keep_texts": bool,
}
# Upper bounds of parameters: searches are fast and scores are finite.
_LARGEST = {"feedback": 10, "feedback_documents": 10_000, "feedback_terms": 10_000}
_LARGEST_WEIGHT = 1e6
# Texts whose embeddings are saved, to compare with those of the embedder that is passed to `load`, and their least
# cosine.
_PROBES = ("A red apple lies on the table.", "Der Zug nach Bern: 12 Minuten", "f(x) = 3.5 * y")
_SAME_COSINE = 0.999
# Number of queries that are searched at a time.
_QUERIES_PER_BLOCK = 1024


# Held while a retriever changes; searches do not wait for it.
_update_lock = ForkSafeLock()


class SearchResults(NamedTuple):
    """Ids and scores of the documents found for each query, best first; empty arrays if nothing matches.

    Notebooks show the results as a table.

    Attributes
    ----------
    ids : list of ndarray of shape (n_results,), int64 or str
        The ids of the documents, for each query.
    scores : list of ndarray of shape (n_results,)
        Their scores, descending.

    Examples
    --------
    >>> SearchResults([np.array([7, 3])], [np.array([2.5, 0.5])]).to_frame()
       query  rank  id  score
    0      0     1   7    2.5
    1      0     2   3    0.5
    """

    ids: list[np.ndarray]
    scores: list[np.ndarray]

    def _repr_html_(self) -> str:
        return format_html_table(self._columns())

    def to_frame(self, library: Literal["pandas", "polars"] = "pandas") -> Any:
        """Return the results as a data frame with a row for each document found.

        Parameters
        ----------
        library : {"pandas", "polars"}, default="pandas"
            The library of the data frame, which must be installed.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            Columns `query` (its number, from 0), `rank` (from 1), `id` and `score`.
        """
        return build_frame(self._columns(), library)

    def _columns(self) -> dict[str, list[Any]]:
        lengths = [len(ids) for ids in self.ids]
        return {
            "query": [query for query, length in enumerate(lengths) for _ in range(length)],
            "rank": [rank for length in lengths for rank in range(1, length + 1)],
            "id": [id for ids in self.ids for id in ids.tolist()],
            "score": [score for scores in self.scores for score in scores.tolist()],
        }


class _State(NamedTuple):
    """The fitted parts that a search uses, replaced together."""

    vectorizer: Any  # fitted; None for matrices of counts
    stored: TermIndex
    memory: HopfieldMemory | None  # of the embedded documents, in the order of the index

    @property
    def terms(self) -> np.ndarray:
        """Return the names of the columns."""
        return self.stored.terms


class HopfieldRetriever(TransformerMixin, DocumentationLink, BaseEstimator):
    r"""Search documents by BM25 with query expansion, and optionally by embeddings.

    Prefer it to plain BM25 if the relevant documents may use other words than the query: it adds related terms, which
    it takes from the best documents, and keeps the two best documents first. `feedback=0` is plain BM25.

    Documents are stored as BM25-weighted rows :math:`w_i` of a Hopfield memory [1]_. The dot product of a row with the
    counts :math:`q` of a query is exactly its BM25 score :math:`s_i`. One associative step completes the query, and the
    completed query :math:`q'` is searched:

    .. math::

        p_i = \mathrm{sparsemax}(\beta s)_i \propto [s_i - s_{(n+1)}]_+, \qquad
        e = \sum_i p_i\, w_i / |w_i|, \qquad
        q' = q / |q| + \lambda\, e_{(m)} / |e_{(m)}|

    with :math:`s_{(n+1)}` the score of the first document that is left out. The inverse temperature :math:`\beta` is
    therefore the one at which n documents have a weight, at any scale of the scores. :math:`e_{(m)}` keeps the m
    largest terms. In information retrieval, such a step is called pseudo-relevance feedback.

    The score of a document by the added terms is limited: to three times the best score by the original query, and to
    the scores of the two best documents of the original query by the added terms. These two documents stay first;
    documents at rank 3 or later can move down.

    Parameters
    ----------
    vectorizer : transformer of text to counts, optional
        Cloned and fitted to the documents. Pass one to change how texts are split into terms. The default is a
        `CountVectorizer` with a `TextAnalyzer` that keeps all words; function words of the language of the documents
        have little weight in queries then, see `ignored_terms`. A `CountVectorizer` without `vocabulary` learns the
        terms of documents that are added later; others keep their fitted terms. Not used for matrices of counts.
    weighting : "bm25", transformer of counts, or None, default="bm25"
        "bm25" is `BM25Transformer()`; pass an instance to change its variant or parameters. None uses the output of the
        vectorizer as weights.
    feedback : int from 0 to 10, default=1
        Number of associative steps. Set 0 for plain BM25, for example if queries are names or codes.
    feedback_documents : int from 1 to 10,000, default=20
        Number of documents that complete a query (n above). Decrease it if few documents are relevant to a query.
    feedback_terms : int from 1 to 10,000, default=60
        Largest number of added terms (m). Decrease it for faster searches.
    feedback_weight : float from 0 to 1e6, default=2.0
        Weight of the added terms relative to the query (:math:`\lambda`). Decrease it if results drift from the query.
    embedder : object with `encode`, `transform` or callable, optional
        Converts a list of texts to an array of embeddings. Pass one for hybrid search: a second memory searches the
        embeddings by cosine. The score of a document is a weighted mean [2]_ of its cosine and of its word score
        relative to the largest possible one. Empty documents are not found.
    embedding_weight : float from 0 to 1, default=0.5
        Weight of the cosine in that mean. Increase it for queries in free wording, decrease it for exact terms.
    keep_texts : bool, default=False
        Whether to keep the documents in `texts_`, for example to show them as results.

    Attributes
    ----------
    ids_ : ndarray of shape (n_documents,), int64 or str
        Ids of the documents, in the order in which they were added.
    terms_ : ndarray of shape (n_terms,), str
        Terms, the names of the columns of `transform`.
    vectorizer_ : transformer or None
        The fitted vectorizer; None if counts were passed.
    texts_ : list of str or None
        The documents in the order of `ids_`, if `keep_texts`. After `remove`, the position of a document differs from
        its id.
    weights_ : CSR matrix of shape (n_documents, n_terms), float32
        Weights of the terms in the documents.

    See Also
    --------
    BM25Transformer : Compute BM25 weights of term counts.
    HopfieldMemory : Store and complete patterns of numbers.
    TextEmbedder : Convert texts to sentence embeddings, for `embedder`.

    Notes
    -----
    Weights and the inverted index are computed from all documents, at the first search after a change. It is therefore
    faster to add many documents at once. Several threads may search while documents are added or removed; each search
    uses the documents that were present when it began.

    References
    ----------
    .. [1] H. Ramsauer et al., "Hopfield Networks is All You Need", ICLR 2021 (arXiv 2008.02217).
    .. [2] S. Bruch, S. Gai, A. Ingber, "An analysis of fusion functions for hybrid retrieval", ACM Transactions on
       Information Systems 42 (2023), on weighted means against reciprocal ranks.

    Examples
    --------
    >>> from codebooks import HopfieldRetriever
    >>> documents = ["car engine", "automobile engine", "bread and butter", "car wheels", "automobile wheels"]
    >>> plain = HopfieldRetriever(feedback=0).fit(documents)
    >>> plain.search("car", k=4).ids
    [array([0, 3])]
    >>> retriever = HopfieldRetriever(feedback_documents=2).fit(documents)
    >>> retriever.search("car", k=4).ids
    [array([0, 3, 1, 4])]
    >>> [(added.term, added.because) for added in retriever.expand("car")]
    [('engine', [(0, 1.0)]), ('wheels', [(3, 1.0)])]
    """

    def __init__(
        self,
        vectorizer: Any = None,
        *,
        weighting: Any = "bm25",
        feedback: int = 1,
        feedback_documents: int = 20,
        feedback_terms: int = 60,
        feedback_weight: float = 2.0,
        embedder: Any = None,
        embedding_weight: float = 0.5,
        keep_texts: bool = False,
    ):
        self.vectorizer = vectorizer
        self.weighting = weighting
        self.feedback = feedback
        self.feedback_documents = feedback_documents
        self.feedback_terms = feedback_terms
        self.feedback_weight = feedback_weight
        self.embedder = embedder
        self.embedding_weight = embedding_weight
        self.keep_texts = keep_texts

    # -- storing -----------------------------------------------------------------------------------------------------

    def fit(self, documents: Any, y: Any = None, *, ids: Any = None) -> Self:
        """Store documents.

        Parameters
        ----------
        documents : sequence of str, or matrix of shape (n_documents, n_terms)
            Texts, or counts of terms.
        y : ignored
        ids : sequence of int or of str, optional
            Unique ids of the documents. The default is 0, 1, ...

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If documents are neither texts nor numbers, or `embedder` is not an embedder.
        ValueError
            If a parameter is out of range, there is no document or no term, or `ids` are invalid.
        """
        self._check_settings()
        vectorizer = None
        if is_matrix(documents):
            counts, texts = _compute_document_counts(documents, self.weighting), None
        else:
            texts = check_texts(documents, "fit")
            vectorizer = self._create_vectorizer(texts)
            counts = csr_matrix(_fit_and_count(vectorizer, texts), dtype=np.float32)
            _check_counts(counts, self.weighting)
        counts.sort_indices()
        ids = check_ids(ids, counts.shape[0], 0)
        next_id = compute_next_id(ids, 0)
        kept_texts = list(texts) if texts and self.keep_texts else None
        index = TermIndex(counts, ids, self.weighting, kept_texts, next_id, vectorizer)
        memory = HopfieldMemory("cosine").fit(self._embed(texts)) if self.embedder is not None else None
        _ = index.weighted  # raises here if the weighting fails
        with _update_lock:
            self._state = _State(vectorizer, index, memory)
        return self

    def add(self, documents: Any, ids: Any = None) -> Self:
        """Add documents to the stored ones.

        Parameters
        ----------
        documents : sequence of str, or matrix of shape (n_documents, n_terms)
            Texts if `fit` got texts, else counts of the same terms.
        ids : sequence of int or of str, optional
            Unique ids of the documents. The default is integers that were never used in this retriever.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an id exists already, or `ids` is missing although the stored ids are str. Nothing is added then.
        """
        state, embedder, embedded = self._get_state(), self.embedder, None
        if state.vectorizer is not None:
            documents = check_texts(documents, "add")
        if state.memory is not None and documents:
            check_ids(ids, len(documents), state.stored.next_id, state.stored.ids)  # before the costly embedding
            embedded = self._embed(documents)  # outside the lock
        with _update_lock:
            state = self._get_state()
            vectorizer, texts = state.vectorizer, None
            if vectorizer is None:
                counts = _compute_document_counts(documents, state.stored.weighting)
                n_terms = state.stored.counts.shape[1]
                if counts.shape[1] != n_terms:
                    raise ValueError(
                        f"`documents` must have {n_terms} columns as in fit, got {counts.shape[1]}. "
                        f"Count the same terms."
                    )
            else:
                texts = check_texts(documents, "add")
                vectorizer = extend_vocabulary(vectorizer, texts)
                counts = csr_matrix(vectorizer.transform(texts), dtype=np.float32)
                _check_counts(counts, state.stored.weighting)
                if vectorizer is state.vectorizer:
                    _check_n_terms(counts.shape[1], state.stored.counts.shape[1])
            counts.sort_indices()
            index = state.stored
            ids = check_ids(ids, counts.shape[0], index.next_id, index.ids)
            memory = state.memory
            if memory is not None and texts:
                if embedded is None or embedder is not self.embedder:  # another thread called `fit`
                    embedded = self._embed(texts)
                memory = copy(memory).partial_fit(embedded)
            index = index.append_rows(counts, ids, texts, compute_next_id(ids, index.next_id), vectorizer)
            self._state = _State(vectorizer, index, memory)
            return self

    def _add_counts(self, texts: list[str], times: int, first: int) -> None:
        """Add the counts of these texts, multiplied by `times`, to those of the documents from position `first` on."""
        with _update_lock:
            state = self._get_state()
            more = csr_matrix(state.vectorizer.transform(texts), dtype=np.float32) * np.float32(times)
            indptr = np.concatenate([np.zeros(first, more.indptr.dtype), more.indptr])
            stored = state.stored
            counts = stored.counts + csr_matrix((more.data, more.indices, indptr), shape=stored.counts.shape)
            counts.sort_indices()
            self._state = state._replace(stored=stored.replace_counts(csr_matrix(counts)))

    def remove(self, ids: Any) -> Self:
        """Remove documents; the others keep their ids.

        Parameters
        ----------
        ids : int, str, or sequence of them
            Ids of the documents.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `ids` is a boolean mask.
        ValueError
            If an id is not stored. Nothing is removed in either case.
        """
        with _update_lock:
            state = self._get_state()
            removed = select_ids(ids, state.stored.ids, "remove")
            memory = state.memory
            if memory is not None:
                memory = copy(memory).remove(memory.ids_[removed])
            self._state = _State(state.vectorizer, state.stored.select_rows(np.flatnonzero(~removed)), memory)
            return self

    # -- searching ---------------------------------------------------------------------------------------------------

    def search(self, queries: Any, k: int = 10, *, min_score: float | None = None) -> SearchResults:
        """Find the best documents for each query.

        Parameters
        ----------
        queries : str, sequence of str, or matrix of shape (n_queries, n_terms)
            One query or many.
        k : int, default=10
            Largest number of documents for each query.
        min_score : float, optional
            Documents with a lower score are left out. Useful mainly with an embedder, see below.

        Returns
        -------
        SearchResults
            `ids` and `scores`, a list with an array for each query: at most k documents, best first, ties to the
            older document. A document that shares no term with the completed query is not
            found, unless there is an embedder, so an array may be empty. Scores are BM25 scores with `feedback=0`, else
            those of completed queries. Only scores of the same query can be compared, except with an embedder: all
            scores are between 0 and 1 then.

        Raises
        ------
        ValueError
            If k is not positive, a parameter is out of range, or `embedder` was removed after `fit`.
        """
        state = self._get_state()
        self._check_settings()
        check_count("k", k)
        is_number = isinstance(min_score, Real) and not isinstance(min_score, bool) and min_score == min_score
        if min_score is not None and not is_number:
            raise ValueError(f"`min_score` must be a number or None, got {short_repr(min_score)}.")
        counts, texts = self._count_terms(queries, state)
        k = min(k, len(state.stored))
        depth = k if state.memory is None else max(k, _N_FUSION_CANDIDATES)
        results = [self._find_best(q, state, depth) for q in _iterate_blocks(counts)]
        position, score = (np.concatenate(parts) for parts in zip(*results, strict=True))
        if state.memory is not None:
            position, score = self._search_hybrid(position, counts, texts or [], state, k)
        if min_score is not None:
            position[score < min_score] = -1
        return _build_results(position, score, state.stored.ids)

    def transform(self, queries: Any) -> Any:
        """Complete queries: return the term vectors that `search` compares with documents.

        Parameters
        ----------
        queries : str, sequence of str, or matrix of shape (n_queries, n_terms)

        Returns
        -------
        CSR matrix of shape (n_queries, n_terms), float32
            The counts themselves with `feedback=0`.
        """
        state = self._get_state()
        self._check_settings()
        counts, _ = self._count_terms(queries, state)
        return ops.stack_rows([self._complete(q, state) for q in _iterate_blocks(counts)])

    def ignored_terms(self, query: str) -> list[str]:
        """Return the function words of a query, such as "the", which only break ties between documents.

        A stop word of the language of the documents is a function word if it occurs in more than five documents and in
        more than 2% of them. A query that contains only function words is searched by all of its words. With a
        vectorizer other than the default, all words of a query count.

        Parameters
        ----------
        query : str

        Returns
        -------
        list of str
            In alphabetical order.

        Examples
        --------
        >>> from codebooks import HopfieldRetriever
        >>> retriever = HopfieldRetriever().fit(["the price is high"] * 9 + ["the water bill is too high"])
        >>> retriever.ignored_terms("is the bill too high")
        ['is', 'the']
        """
        state = self._get_state()
        if state.vectorizer is None:
            return []
        [text] = check_texts([query], "ignored_terms")
        before = csr_matrix(state.vectorizer.transform([text]), dtype=np.float32)
        after = _downweight_columns(before, state.stored.stop_columns[1])
        return sorted(str(state.terms[column]) for column in before.indices[after.data < before.data])

    def expand(self, query: Any, n_terms: int = 10) -> list[AddedTerm]:
        """Return the terms that feedback adds to a query, and the documents that they come from.

        Parameters
        ----------
        query : str, or matrix with one row
        n_terms : int, default=10
            Largest number of terms.

        Returns
        -------
        list of AddedTerm
            By descending weight; empty if no document matches, or with `feedback=0`.
        """
        state = self._get_state()
        check_count("n_terms", n_terms, least=0)
        counts = self._check_one_query(query, state, "expand")
        if not self.feedback:
            return []
        completed = self._complete(counts, state)
        last_query = completed if self.feedback > 1 else counts
        position, share = feedback.compute_shares(last_query, state.stored.weighted, self.feedback_documents)
        return find_added_terms(counts, completed, position[0], share[0], state.stored, n_terms)

    def explain(self, query: Any, id: Any) -> tuple[dict[str, float], dict[str, float]]:
        """Return the contribution of each term to the score of a document.

        Parameters
        ----------
        query : str, or matrix with one row
        id : int or str
            Id of the document.

        Returns
        -------
        matched, added : dict of str to float
            Contributions of the terms of the query, and of the terms that feedback adds, the largest first. If the
            added terms exceed their limit, their contributions are scaled to it.

        Raises
        ------
        ValueError
            If there is not exactly one query, the id is not stored, or a parameter is out of range.
        """
        state = self._get_state()
        counts = self._check_one_query(query, state, "explain")
        (position,) = np.flatnonzero(state.stored.ids == id)[:1].tolist() or [None]
        if position is None:
            raise ValueError(f"`id` must be the id of a stored document, got {short_repr(id)}. See `ids_`.")
        row = state.stored.weighted.rows[[position]]
        completed = feedback.complete_for_document(
            counts, row, state.stored.weighted, **self._get_feedback_settings(state)
        )
        return compute_contributions(counts, completed, row, state.terms)

    # -- on disk -----------------------------------------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Write the retriever to one file, and replace an earlier one.

        The file is replaced atomically: if the process is killed, it contains the old index or the new one. It contains
        no pickle. Embedders are not saved, nor are vectorizers and weightings other than a plain `CountVectorizer` or
        `BM25Transformer`, or vectorizers with `input` other than "content" or with n-grams of more than 20: pass them
        to `load`.

        Only the owner can read and write a new file (mode 600); a replaced file keeps its mode.

        Parameters
        ----------
        path : str or Path
            A new file, or a saved retriever.

        Raises
        ------
        FileExistsError
            If the path exists and is not a saved retriever.
        OSError
            If the file cannot be written.
        ValueError
            If a parameter is out of range.
        """
        state = self._get_state()
        vectorizer = serialization.describe(state.vectorizer)
        arrays = serialization.pack_index(state.stored)
        if isinstance(vectorizer, dict):
            arrays |= serialization.pack_vocabulary(state.vectorizer)
        if state.memory is not None:
            arrays["embeddings"] = np.asarray(state.memory.patterns_)
            arrays["probes"] = self._embed(list(_PROBES))
        about = {
            "settings": {name: convert(getattr(self, name)) for name, convert in _PLAIN_SETTINGS.items()},
            "vectorizer": vectorizer,
            "default_vectorizer": self.vectorizer is None,
            "weighting": serialization.describe(state.stored.weighting),
            "next_id": int(state.stored.next_id),
        }
        self._check_settings()
        serialization.read_index(arrays, about, list(_PLAIN_SETTINGS), trust=True)  # as `load` will
        save_arrays(path, arrays, about, kind=type(self).__name__)

    @classmethod
    def load(
        cls,
        path: Any,
        *,
        verify: bool = True,
        trust: bool = False,
        vectorizer: Any = None,
        weighting: Any = None,
        embedder: Any = None,
    ) -> Self:
        r"""Load a retriever that `save` wrote, also one from an untrusted source.

        All content is validated: a file that was altered on purpose raises an error, and never causes a crash, an
        endless loop or a wrong id. Counts, texts and embeddings are memory-mapped, not copied. Weights are computed
        from the counts at the first search.

        Parameters
        ----------
        path : str or Path
        verify : bool, default=True
            Whether to compare checksums too. They detect accidental damage that leaves a valid index, such as a changed
            letter in a text. Set False to load large files faster.
        trust : bool, default=False
            Whether to use a `token_pattern` that is not one of the usual ones, such as ``r"(?u)\b\w+\b"``. A regular
            expression can take exponential time on some texts. Set it only for a file from a source that you trust.
        vectorizer : fitted transformer, optional
            Required if it was not saved.
        weighting : transformer, optional
            Required if it was not saved.
        embedder : object with `encode`, `transform` or callable, optional
            Required if the retriever was saved with an embedder.

        Returns
        -------
        HopfieldRetriever

        Raises
        ------
        FileNotFoundError
            If there is no file.
        codebooks.storage.DamagedFileError
            If the file is truncated or altered, its parts are inconsistent, or it requires `trust`. The message names
            the file and the part.
        ValueError
            If the file is of another kind or format, a part that is not saved is missing, or the embedder is another.
        """
        arrays, about = load_arrays(path, kind=cls.__name__, verify=verify)
        try:
            saved = serialization.read_index(arrays, about, list(_PLAIN_SETTINGS), trust)
            cls._check_saved_settings(saved.settings)
        except serialization.InvalidIndexError as error:
            raise build_damage_error(Path(path), f"is not a valid index: {error}") from error
        rebuilt = serialization.rebuild(saved.vectorizer, vectorizer, "vectorizer", saved.terms)
        weighting = serialization.rebuild(saved.weighting, weighting, "weighting")
        if saved.embeddings is not None and embedder is None:
            raise ValueError(
                "`embedder` must be given because this retriever was saved with one, got None. Pass the same embedder: "
                "load(path, embedder=...)."
            )
        vectorizer = None if saved.is_default_vectorizer else rebuilt
        retriever = cls(vectorizer, weighting=weighting, embedder=embedder, **saved.settings)
        if saved.terms is not None:
            rebuilt = serialization.set_vocabulary(clone(rebuilt), saved.terms)
        elif hasattr(rebuilt, "get_feature_names_out"):
            _check_n_terms(len(rebuilt.get_feature_names_out()), saved.counts.shape[1])
        memory = None if saved.embeddings is None else serialization.restore_memory(saved.embeddings)
        if saved.probes is not None:
            retriever._check_embedder(saved.probes)
        retriever._state = _State(rebuilt, serialization.restore_index(saved, retriever.weighting, rebuilt), memory)
        return retriever

    @classmethod
    def _check_saved_settings(cls, settings: dict[str, Any]) -> None:
        """Raise an error if a saved parameter has another type, or is out of range."""
        for name, kind in _PLAIN_SETTINGS.items():
            if type(settings[name]) is not kind:
                problem = f"expected {name} of type {kind.__name__}, got {short_repr(settings[name])}"
                raise serialization.InvalidIndexError(problem)
        try:
            cls(**settings)._check_settings()
        except ValueError as error:
            raise serialization.InvalidIndexError(str(error)) from error

    # -- what is stored ----------------------------------------------------------------------------------------------

    @property
    def ids_(self) -> np.ndarray:
        """Ids of the documents."""
        return self._get_state().stored.ids

    @property
    def terms_(self) -> np.ndarray:
        """Terms, the names of the columns of `transform`."""
        return self._get_state().terms

    @property
    def vectorizer_(self) -> Any:
        """The fitted vectorizer; None if counts were passed."""
        return self._get_state().vectorizer

    @property
    def texts_(self) -> Any:
        """The documents, if `keep_texts`; else None."""
        return self._get_state().stored.texts

    @property
    def weights_(self) -> Any:
        """Weights of the terms in the documents."""
        return self._get_state().stored.weighted.rows

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the terms, the names of the columns of `transform`."""
        return np.asarray(self._get_state().terms, dtype=object)

    def __len__(self) -> int:
        return len(self._state.stored) if self.__sklearn_is_fitted__() else 0

    def __sklearn_is_fitted__(self) -> bool:
        return "_state" in vars(self)

    def _get_state(self) -> _State:
        check_is_fitted(self)
        return self._state

    # -- one associative step ----------------------------------------------------------------------------------------

    def _complete(self, counts: Any, state: _State) -> Any:
        """Return queries with the terms that feedback adds."""
        return feedback.complete(counts, state.stored.weighted, **self._get_feedback_settings(state))

    def _find_best(self, counts: Any, state: _State, k: int) -> tuple[np.ndarray, np.ndarray]:
        weighted = state.stored.weighted
        position, score = feedback.search(counts, weighted, k, **self._get_feedback_settings(state))
        if not weighted.absent.any():
            return position, score
        # The score of absent terms is the same for all documents.
        absent_score = self._complete(counts, state) @ weighted.absent
        return position, np.where(position >= 0, score + absent_score[:, None], 0)

    def _get_feedback_settings(self, state: _State) -> dict[str, Any]:
        return {
            "steps": self.feedback,
            "n_documents": self.feedback_documents,
            "n_terms": self.feedback_terms,
            "weight": self.feedback_weight,
            "excluded": state.stored.stop_columns[0],
        }

    def _search_hybrid(
        self, position: np.ndarray, counts: Any, texts: list[str], state: _State, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Merge the documents found by words and by embeddings, and rank them by weighted sums of both scores."""
        if not texts or not len(state.stored) or state.memory is None:
            return position, np.zeros(position.shape)
        memory, documents = state.memory, np.asarray(state.memory.patterns_)
        embedded = self._embed(texts)
        depth = min(max(k, _N_FUSION_CANDIDATES), len(documents))
        neighbors = np.searchsorted(memory.ids_, memory.kneighbors(embedded, depth, return_distance=False))
        position = merge_candidates(position, neighbors)
        by_words = feedback.compute_scores(
            position, counts, state.stored.weighted, **self._get_feedback_settings(state)
        )
        by_embedding = rescore_by_embedding(position, embedded, documents)
        weight = self.embedding_weight
        return rank_candidates(position, (1 - weight) * by_words + weight * by_embedding, k)

    # -- text --------------------------------------------------------------------------------------------------------

    def _create_vectorizer(self, texts: list[str]) -> Any:
        if self.vectorizer is None:
            analyzer = TextAnalyzer(stop_words=None)
            analyzer.detect(texts)
            return CountVectorizer(analyzer=analyzer.resolve(), dtype=np.float32)
        return clone(self.vectorizer)

    def _count_terms(self, queries: Any, state: _State) -> tuple[Any, list[str] | None]:
        n_terms = state.stored.counts.shape[1]
        if state.vectorizer is None:
            counts, texts = check_count_matrix(queries, empty=True), None
            if counts.shape[1] != n_terms:
                raise ValueError(f"`queries` must have {n_terms} columns as the documents, got {counts.shape[1]}.")
        else:
            texts = check_texts([queries] if isinstance(queries, str) else queries, "search")
            counts = csr_matrix(state.vectorizer.transform(texts), dtype=np.float32)
            _check_n_terms(counts.shape[1], n_terms)
            counts = _downweight_columns(counts, state.stored.stop_columns[1])
        counts.sort_indices()
        return counts, texts

    def _check_one_query(self, query: Any, state: _State, method: str) -> Any:
        self._check_settings()
        counts, _ = self._count_terms(query, state)
        if counts.shape[0] != 1:
            raise ValueError(f"`query` of {method} must be one query, got {counts.shape[0]}.")
        return counts

    def _embed(self, texts: list[str] | None) -> np.ndarray:
        if texts is None:
            raise ValueError(
                "`documents` must be texts if there is an embedder, got counts. Pass texts, or embedder=None."
            )
        if self.embedder is None:
            raise ValueError(
                "`embedder` must be the one of the fitted retriever, got None. Set it again, or fit again without it."
            )
        # An empty text has a row of zeros, which matches nothing.
        filled = [i for i, text in enumerate(texts) if not text.isspace() and text]
        filled_texts = [replace_surrogates(texts[i]) for i in filled] or texts
        vectors = _get_encoder(self.embedder)(filled_texts)
        rows = check_encoder_output(vectors, len(filled_texts), "embedder", (np.float64, np.float32))
        if len(filled) == len(texts):
            return rows
        embedded = np.zeros((len(texts), rows.shape[1]), rows.dtype)
        embedded[filled] = rows if filled else 0
        return embedded

    def _check_embedder(self, probes: np.ndarray) -> None:
        """Raise an error if the embeddings of the probe texts differ from the saved ones."""
        rows = self._embed(list(_PROBES))
        if rows.shape == probes.shape:
            cosines = (rows * probes).sum(axis=1) / np.maximum(ops.row_norms(rows) * ops.row_norms(probes), 1e-300)
            if (cosines > _SAME_COSINE).all() or not (rows.any() or probes.any()):
                return
        raise ValueError(
            "`embedder` must be the one that this index was saved with, got one with other embeddings. Pass the same "
            "embedder: load(path, embedder=...)."
        )

    def _check_settings(self) -> None:
        for name, least in (("feedback", 0), ("feedback_documents", 1), ("feedback_terms", 1)):
            value = getattr(self, name)
            check_count(name, value, least)
            if value > _LARGEST[name]:
                raise ValueError(f"`{name}` must be an integer <= {_LARGEST[name]:,}, got {short_repr(value)}.")
        weight = self.feedback_weight
        if not isinstance(weight, Real) or isinstance(weight, bool) or not 0 <= weight <= _LARGEST_WEIGHT:
            raise ValueError(
                f"`feedback_weight` must be a number from 0 to {_LARGEST_WEIGHT:,.0f}, got {short_repr(weight)}."
            )
        weight = self.embedding_weight
        if not isinstance(weight, Real) or isinstance(weight, bool) or not 0 <= weight <= 1:
            raise ValueError(f"`embedding_weight` must be a number from 0 to 1, got {short_repr(weight)}.")
        is_named = self.weighting is None or (isinstance(self.weighting, str) and self.weighting == "bm25")
        if not is_named and not hasattr(self.weighting, "fit_transform"):
            raise ValueError(
                f'`weighting` must be "bm25", a transformer of counts or None, got {short_repr(self.weighting)}.'
            )
        if self.vectorizer is not None and not hasattr(self.vectorizer, "fit_transform"):
            raise TypeError(f"`vectorizer` must be a transformer of text to counts, got {short_repr(self.vectorizer)}.")
        if self.embedder is not None and not callable(_get_encoder(self.embedder)):
            raise TypeError(
                f"`embedder` must have encode or transform, or be callable, got {short_repr(self.embedder)}."
            )


def _downweight_columns(counts: Any, columns: np.ndarray) -> Any:
    """Scale the counts of these columns so that they only break ties, in rows with other entries."""
    others = drop_columns(counts, columns)
    if others.nnz == counts.nnz:
        return counts
    has_others = np.repeat(np.diff(others.indptr) > 0, np.diff(counts.indptr))
    result = counts.copy()
    result.data[has_others & np.isin(counts.indices, columns)] *= FUNCTION_WORD_WEIGHT
    return result


def _compute_document_counts(documents: Any, weighting: Any) -> Any:
    counts = check_count_matrix(documents)
    _check_counts(counts, weighting)
    return counts


def _check_counts(counts: Any, weighting: Any) -> None:
    problem = find_invalid_counts(counts.data, weighting is not None)
    if problem is not None:
        raise ValueError(f"`documents` must contain counts, got {problem}.")


def _check_n_terms(n_columns: int, n_terms: int) -> None:
    if n_columns != n_terms:
        raise ValueError(
            f"`vectorizer` must return {n_terms} columns as for the stored documents, got {n_columns}. Pass the one "
            f"that was fitted to them: load(path, vectorizer=...)."
        )


def _fit_and_count(vectorizer: Any, texts: list[str]) -> Any:
    """Fit a vectorizer, and return the counts of the texts."""
    try:
        return counting.fit_transform(vectorizer, texts)
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        raise ValueError(
            f"`documents` must contain words, got none in {len(texts)} texts. A word has a letter or a digit, and "
            f"is no stop word of `vectorizer`."
        ) from error


def _get_encoder(embedder: Any) -> Any:
    """Return the callable that converts texts to embeddings."""
    return next((getattr(embedder, name) for name in ("encode", "transform") if hasattr(embedder, name)), embedder)


def _iterate_blocks(counts: Any) -> Iterator[Any]:
    for start in range(0, max(counts.shape[0], 1), _QUERIES_PER_BLOCK):
        yield ops.take_rows(counts, slice(start, min(start + _QUERIES_PER_BLOCK, counts.shape[0])))


def _build_results(position: np.ndarray, score: np.ndarray, ids: np.ndarray) -> SearchResults:
    """Replace positions, padded with -1, by ids."""
    n_results = (position >= 0).sum(axis=1)
    pairs = [(row[:n], scores[:n]) for row, scores, n in zip(position, score, n_results, strict=True)]
    return SearchResults([ids[row] for row, _ in pairs], [scores for _, scores in pairs])
