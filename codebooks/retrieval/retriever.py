"""Search by associative memory: BM25 exactly, and then one step that completes the query from what it finds."""

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
from codebooks.retrieval.index import FADED, TermIndex, drop_columns, find_invalid_counts
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

# So many documents are found by words and by embedding, at least, before their scores are joined.
_FUSED = 100
# Settings that are saved, and their types in JSON.
_PLAIN_SETTINGS: dict[str, type] = {
    "feedback": int,
    "feedback_documents": int,
    "feedback_terms": int,
    "feedback_weight": float,
    "embedding_weight": float,
    "keep_texts": bool,
}
# Upper bounds of settings. A search within them ends soon and gives finite scores.
_LARGEST = {"feedback": 10, "feedback_documents": 10_000, "feedback_terms": 10_000}
_LARGEST_WEIGHT = 1e6
# Texts whose embeddings are saved, so that an embedder which is given to `load` can be compared, and how alike they are
# at least.
_PROBES = ("A red apple lies on the table.", "Der Zug nach Bern: 12 Minuten", "f(x) = 3.5 * y")
_SAME_COSINE = 0.999
# Queries that are searched at a time.
_QUERIES = 1024


# One change at a time; searches do not wait.
_changing = ForkSafeLock()


class SearchResults(NamedTuple):
    """The documents that searches find for each query, best first; none if nothing matches.

    Notebooks show it as a table.

    Attributes
    ----------
    ids : list of ndarray of shape (n_found,), int64 or str
        The ids of the documents, for each query.
    scores : list of ndarray of shape (n_found,)
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
    """All that a search needs, replaced as one."""

    vectorizer: Any  # fitted; None where counts are given instead of text
    stored: TermIndex
    memory: HopfieldMemory | None  # of the embedded documents, in the order of the index

    @property
    def terms(self) -> np.ndarray:
        """Names of the columns."""
        return self.stored.terms


class HopfieldRetriever(TransformerMixin, DocumentationLink, BaseEstimator):
    r"""Documents that are found by words, and by the words that these bring to mind.

    Documents are stored as BM25-weighted rows w of a Hopfield memory, so that a dot product with the counts q of a
    query is its BM25 score s, exactly. One associative step completes the query, and the completed one searches:

    .. math::

        p_i = \mathrm{sparsemax}(\beta s)_i \propto [s_i - s_{(n+1)}]_+, \qquad
        e = \sum_i p_i\, w_i / |w_i|, \qquad
        q' = q / |q| + \lambda\, e_{(m)} / |e_{(m)}|

    with :math:`s_{(n+1)}` the score of the first document that is left out, so the inverse temperature
    :math:`\beta` is that at which n documents have a weight, whatever the scale of the scores; :math:`e_{(m)}` keeps
    the m largest terms. It is what information retrieval calls pseudo-relevance feedback. What the added terms give to
    a document counts up to a limit: three times what the query itself gives to its best document, and no more than they
    give to either of its two best documents. These stay first, so that completion never loses an exact match.

    Parameters
    ----------
    vectorizer : transformer of text to counts, optional
        Cloned and fitted to the documents. Left out, a `CountVectorizer` with a `TextAnalyzer` that keeps all words;
        queries are then searched without function words of the documents' language, see `ignored_terms`. A
        `CountVectorizer` without `vocabulary` learns the terms of documents that are added later; others keep the terms
        that they were fitted with. Where matrices are given instead of text, none is used.
    weighting : "bm25", transformer of counts, or None, default="bm25"
        "bm25" is `BM25Transformer()`. None takes what the vectorizer gives as weights.
    feedback : int from 0 to 10, default=1
        How many associative steps. 0 searches with the query as it is: plain BM25.
    feedback_documents : int from 1 to 10,000, default=20
        How many documents complete a query (n above).
    feedback_terms : int from 1 to 10,000, default=60
        How many terms they give to it (m).
    feedback_weight : float from 0 to 1e6, default=2.0
        Weight of these terms against the query's own (:math:`\lambda`).
    embedder : object with `encode`, `transformer` or callable, optional
        Turns a list of texts into an array of embeddings. Then a second memory searches these by cosine. The score of a
        document is a weighted mean [2]_ of its cosine and of its score by words over the largest that is possible;
        empty documents are not found.
    embedding_weight : float from 0 to 1, default=0.5
        Weight of the cosine in that mean.
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
        The documents in the order of `ids_`, with `keep_texts`. After `remove`, the place of a document is no longer
        the number that names it.
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
            If documents are neither texts nor numbers, or `embedder` is none.
        ValueError
            If a setting is out of range, there is no document or no term, or `ids` do not fit.
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
        names = check_ids(ids, counts.shape[0], 0)
        next_id = compute_next_id(names, 0)
        kept = list(texts) if texts and self.keep_texts else None
        index = TermIndex(counts, names, self.weighting, kept, next_id, vectorizer)
        memory = HopfieldMemory("cosine").fit(self._embed(texts)) if self.embedder is not None else None
        _ = index.weighted  # a weighting that fails does so here
        with _changing:
            self._state = _State(vectorizer, index, memory)
        return self

    def add(self, documents: Any, ids: Any = None) -> Self:
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
        state, embedder, embedded = self._fitted(), self.embedder, None
        if state.vectorizer is not None:
            documents = check_texts(documents, "add")
        if state.memory is not None and documents:
            check_ids(ids, len(documents), state.stored.next_id, state.stored.ids)  # embedding may be dear
            embedded = self._embed(documents)  # nobody else waits for it
        with _changing:
            state = self._fitted()
            vectorizer, texts = state.vectorizer, None
            if vectorizer is None:
                counts = _compute_document_counts(documents, state.stored.weighting)
                n_terms = state.stored.counts.shape[1]
                if counts.shape[1] != n_terms:
                    raise ValueError(f"add wants counts of {n_terms} terms, as in fit, and got {counts.shape[1]}.")
            else:
                texts = check_texts(documents, "add")
                vectorizer = extend_vocabulary(vectorizer, texts)
                counts = csr_matrix(vectorizer.transform(texts), dtype=np.float32)
                _check_counts(counts, state.stored.weighting)
                if vectorizer is state.vectorizer:
                    _check_n_terms(counts.shape[1], state.stored.counts.shape[1])
            counts.sort_indices()
            index = state.stored
            names = check_ids(ids, counts.shape[0], index.next_id, index.ids)
            memory = state.memory
            if memory is not None and texts:
                if embedded is None or embedder is not self.embedder:  # another thread has come between with `fit`
                    embedded = self._embed(texts)
                memory = copy(memory).partial_fit(embedded)
            index = index.append_rows(counts, names, texts, compute_next_id(names, index.next_id), vectorizer)
            self._state = _State(vectorizer, index, memory)
            return self

    def _count_again(self, texts: list[str], times: int, first: int) -> None:
        """Add the counts of these texts, multiplied, to those of the documents from a position on."""
        with _changing:
            state = self._fitted()
            more = csr_matrix(state.vectorizer.transform(texts), dtype=np.float32) * np.float32(times)
            indptr = np.concatenate([np.zeros(first, more.indptr.dtype), more.indptr])
            stored = state.stored
            counts = stored.counts + csr_matrix((more.data, more.indices, indptr), shape=stored.counts.shape)
            counts.sort_indices()
            self._state = state._replace(stored=stored.replace_counts(csr_matrix(counts)))

    def remove(self, ids: Any) -> Self:
        """Remove documents; all others keep their ids.

        Parameters
        ----------
        ids : id or sequence of ids

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If a mask came; nothing is removed then, nor in the next case.
        ValueError
            If an id is not there.
        """
        with _changing:
            state = self._fitted()
            removed = select_ids(ids, state.stored.ids, "remove")
            memory = state.memory
            if memory is not None:
                memory = copy(memory).remove(memory.ids_[removed])
            self._state = _State(state.vectorizer, state.stored.select_rows(np.flatnonzero(~removed)), memory)
            return self

    # -- searching ---------------------------------------------------------------------------------------------------

    def search(self, queries: Any, k: int = 10, *, min_score: float | None = None) -> SearchResults:
        """The best documents for each query.

        Parameters
        ----------
        queries : str, sequence of str, or matrix of shape (n_queries, n_terms)
            One text is taken for a list of one.
        k : int, default=10
        min_score : float, optional
            Documents with a lower score are left out.

        Returns
        -------
        SearchResults
            `ids` and `scores`, a list with an array for each query: at most k documents, best first, ties to the older
            one. A document that shares no term with the completed query is not found, unless there is an embedder, so
            an array may be empty. Scores are those of BM25 with `feedback=0`, else those of completed queries; both
            depend on the query. With an embedder they lie between 0 and 1, and those of different queries can be
            compared.

        Raises
        ------
        ValueError
            If k is not positive, a setting is out of range, or `embedder` is gone.
        """
        state = self._fitted()
        self._check_settings()
        check_count("k", k)
        is_number = isinstance(min_score, Real) and not isinstance(min_score, bool) and min_score == min_score
        if min_score is not None and not is_number:
            raise ValueError(f"min_score must be a number or None; {short_repr(min_score)} came.")
        counts, texts = self._count_terms(queries, state)
        k = min(k, len(state.stored))
        depth = k if state.memory is None else max(k, _FUSED)
        found = [self._find_best(q, state, depth) for q in _iterate_blocks(counts)]
        position, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if state.memory is not None:
            position, score = self._search_hybrid(position, counts, texts or [], state, k)
        if min_score is not None:
            position[score < min_score] = -1
        return _build_results(position, score, state.stored.ids)

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
        counts, _ = self._count_terms(queries, state)
        return ops.stack_rows([self._complete(q, state) for q in _iterate_blocks(counts)])

    def ignored_terms(self, query: str) -> list[str]:
        """The words of a query that only decide between equal documents: function words, such as "the", beside others.

        A stop word of the documents' language is one where more than five documents and more than one in fifty have
        it. A query of nothing else is searched by all of its words, and so is every query of other vectorizers than the
        default.

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
        state = self._fitted()
        if state.vectorizer is None:
            return []
        [text] = check_texts([query], "ignored_terms")
        before = csr_matrix(state.vectorizer.transform([text]), dtype=np.float32)
        after = _fade_columns(before, state.stored.stop_columns[1])
        return sorted(str(state.terms[column]) for column in before.indices[after.data < before.data])

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
        check_count("n_terms", n_terms, least=0)
        counts = self._check_one_query(query, state, "expand")
        if not self.feedback:
            return []
        completed = self._complete(counts, state)
        asked = completed if self.feedback > 1 else counts
        position, share = feedback.compute_shares(asked, state.stored.weighted, self.feedback_documents)
        return find_added_terms(counts, completed, position[0], share[0], state.stored, state.terms, n_terms)

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
            Terms of the query, and terms that the memory added to it, with what each gives; the largest first. Where
            added terms reach their limit, what each gives is scaled to it.

        Raises
        ------
        ValueError
            If there is not one query, the document is not there, or a setting is out of range.
        """
        state = self._fitted()
        counts = self._check_one_query(query, state, "explain")
        (position,) = np.flatnonzero(state.stored.ids == id)[:1].tolist() or [None]
        if position is None:
            raise ValueError(f"explain wants the id of a document that is there, see ids_, and got {short_repr(id)}.")
        row = state.stored.weighted.rows[[position]]
        asked = feedback.complete_for(counts, row, state.stored.weighted, **self._get_feedback_settings(state))
        return compute_contributions(counts, asked, row, state.terms)

    # -- on disk -----------------------------------------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Write everything into one file, in place of what was saved there before.

        All or nothing, whatever happens: a kill at any moment leaves the old index or the new one. There is no pickle
        in it. A vectorizer or weighting that is not a plain `CountVectorizer` or `BM25Transformer`, and every embedder,
        is not saved: give it again to `load`. Nor is a vectorizer with `input` other than "content", or with n-grams of
        more than 20.

        A new file can be read and written by its owner alone (mode 600); one that is replaced keeps its mode.

        Parameters
        ----------
        path : str or Path
            A new file, or one that was saved before.

        Raises
        ------
        FileExistsError
            Something else is there.
        OSError
            It cannot be written.
        ValueError
            A setting is out of range.
        """
        state = self._fitted()
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
        r"""Load an index that `save` wrote, also one that comes from somebody else.

        Every number is checked before it is used, so that a file which was altered on purpose is an error and never a
        crash, an endless loop or a wrong id. Counts, texts and embeddings are memory-mapped, not copied. Weights are
        computed from the counts at the first search.

        Parameters
        ----------
        path : str or Path
        verify : bool, default=True
            Whether to compare checksums too, which detects accidental damage that leaves a valid index, such as another
            letter in a text.
        trust : bool, default=False
            Whether to use a `token_pattern` that is not one of the usual ones, such as ``r"(?u)\b\w+\b"``. A regular
            expression can take for ever on some texts. Set it only for a file that you or somebody you trust has saved.
        vectorizer : fitted transformer, optional
        weighting : transformer, optional
        embedder : optional
            Those that were not saved.

        Returns
        -------
        HopfieldRetriever

        Raises
        ------
        FileNotFoundError
            There is no saved index.
        codebooks.storage.DamagedFileError
            The file is cut off or altered, its parts disagree with each other, or it needs `trust`. The message names
            the file and the part.
        ValueError
            The file is of another kind or format, a part that is not saved has to be given, or the embedder is another.
        """
        arrays, about = load_arrays(path, kind=cls.__name__, verify=verify)
        try:
            saved = serialization.read_index(arrays, about, list(_PLAIN_SETTINGS), trust)
            cls._check_saved_settings(saved.settings)
        except serialization.InvalidIndexError as error:
            raise build_damage_error(Path(path), f"is not a valid index: {error}") from error
        counter = serialization.rebuild(saved.vectorizer, vectorizer, "vectorizer", saved.terms)
        weights = serialization.rebuild(saved.weighting, weighting, "weighting")
        if saved.embeddings is not None and embedder is None:
            raise ValueError(
                "This retriever was saved with an embedder, which is not in the file. Pass it again: "
                "load(path, embedder=...)."
            )
        used = None if saved.is_default_vectorizer else counter
        retriever = cls(used, weighting=weights, embedder=embedder, **saved.settings)
        if saved.terms is not None:
            counter = serialization.set_vocabulary(clone(counter), saved.terms)
        elif hasattr(counter, "get_feature_names_out"):
            _check_n_terms(len(counter.get_feature_names_out()), saved.counts.shape[1])
        memory = None if saved.embeddings is None else serialization.restore_memory(saved.embeddings)
        if saved.probes is not None:
            retriever._check_embedder(saved.probes)
        retriever._state = _State(counter, serialization.restore_index(saved, retriever.weighting, counter), memory)
        return retriever

    @classmethod
    def _check_saved_settings(cls, settings: dict[str, Any]) -> None:
        """Refuse settings of a file that are of another type, or out of range."""
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
        """Names of the documents."""
        return self._fitted().stored.ids

    @property
    def terms_(self) -> np.ndarray:
        """Names of the columns."""
        return self._fitted().terms

    @property
    def vectorizer_(self) -> Any:
        """What counts the terms of a text."""
        return self._fitted().vectorizer

    @property
    def texts_(self) -> Any:
        """The documents, where they are kept."""
        return self._fitted().stored.texts

    @property
    def weights_(self) -> Any:
        """The stored rows."""
        return self._fitted().stored.weighted.rows

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The terms, names of the columns that `transform` gives."""
        return np.asarray(self._fitted().terms, dtype=object)

    def __len__(self) -> int:
        return len(self._state.stored) if self.__sklearn_is_fitted__() else 0

    def __sklearn_is_fitted__(self) -> bool:
        return "_state" in vars(self)

    def _fitted(self) -> _State:
        check_is_fitted(self)
        return self._state

    # -- one associative step ----------------------------------------------------------------------------------------

    def _complete(self, counts: Any, state: _State) -> Any:
        """Queries with the terms that the memory adds."""
        return feedback.complete(counts, state.stored.weighted, **self._get_feedback_settings(state))

    def _find_best(self, counts: Any, state: _State, k: int) -> tuple[np.ndarray, np.ndarray]:
        weighted = state.stored.weighted
        position, score = feedback.search(counts, weighted, k, **self._get_feedback_settings(state))
        if not weighted.absent.any():
            return position, score
        # What terms give to documents that lack them is the same for all.
        absent = self._complete(counts, state) @ weighted.absent
        return position, np.where(position >= 0, score + absent[:, None], 0)

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
        """The documents found by words and those found by embedding, by weighted sums of both scores."""
        if not texts or not len(state.stored) or state.memory is None:
            return position, np.zeros(position.shape)
        memory, documents = state.memory, np.asarray(state.memory.patterns_)
        embedded = self._embed(texts)
        depth = min(max(k, _FUSED), len(documents))
        near = np.searchsorted(memory.ids_, memory.kneighbors(embedded, depth, return_distance=False))
        position = merge_candidates(position, near)
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
                raise ValueError(f"queries want {n_terms} columns, as the documents have; {counts.shape[1]} came.")
        else:
            texts = check_texts([queries] if isinstance(queries, str) else queries, "search")
            counts = csr_matrix(state.vectorizer.transform(texts), dtype=np.float32)
            _check_n_terms(counts.shape[1], n_terms)
            counts = _fade_columns(counts, state.stored.stop_columns[1])
        counts.sort_indices()
        return counts, texts

    def _check_one_query(self, query: Any, state: _State, method: str) -> Any:
        self._check_settings()
        counts, _ = self._count_terms(query, state)
        if counts.shape[0] != 1:
            raise ValueError(f"{method} wants one query and got {counts.shape[0]}.")
        return counts

    def _embed(self, texts: list[str] | None) -> np.ndarray:
        if texts is None:
            raise ValueError("An embedder wants texts, and counts came. Give texts, or leave embedder out.")
        if self.embedder is None:
            raise ValueError(
                "This retriever was fitted with an embedder, and it is gone. Set it again, or fit anew without."
            )
        # A text without letters or signs means nothing: it has a row of zeros, which is never found and finds nothing.
        filled = [i for i, text in enumerate(texts) if not text.isspace() and text]
        asked = [replace_surrogates(texts[i]) for i in filled] or texts
        vectors = _get_encoder(self.embedder)(asked)
        rows = check_encoder_output(vectors, len(asked), "embedder", (np.float64, np.float32))
        if len(filled) == len(texts):
            return rows
        embedded = np.zeros((len(texts), rows.shape[1]), rows.dtype)
        embedded[filled] = rows if filled else 0
        return embedded

    def _check_embedder(self, probes: np.ndarray) -> None:
        """Refuse an embedder that gives other embeddings than the one whose embeddings were saved."""
        found = self._embed(list(_PROBES))
        if found.shape == probes.shape:
            cosines = (found * probes).sum(axis=1) / np.maximum(ops.row_norms(found) * ops.row_norms(probes), 1e-300)
            if (cosines > _SAME_COSINE).all() or not (found.any() or probes.any()):
                return
        raise ValueError(
            "The embedder gives other embeddings than the one that this index was saved with. Pass that one: "
            "load(path, embedder=...)."
        )

    def _check_settings(self) -> None:
        for name, least in (("feedback", 0), ("feedback_documents", 1), ("feedback_terms", 1)):
            value = getattr(self, name)
            check_count(name, value, least)
            if value > _LARGEST[name]:
                raise ValueError(
                    f"{name} must be a whole number of at most {_LARGEST[name]:,}; {short_repr(value)} came."
                )
        weight = self.feedback_weight
        if not isinstance(weight, Real) or isinstance(weight, bool) or not 0 <= weight <= _LARGEST_WEIGHT:
            raise ValueError(
                f"feedback_weight must be a number from 0 to {_LARGEST_WEIGHT:,.0f}; {short_repr(weight)} came."
            )
        weight = self.embedding_weight
        if not isinstance(weight, Real) or isinstance(weight, bool) or not 0 <= weight <= 1:
            raise ValueError(f"embedding_weight must be a number from 0 to 1; {short_repr(weight)} came.")
        is_known = self.weighting is None or (isinstance(self.weighting, str) and self.weighting == "bm25")
        if not is_known and not hasattr(self.weighting, "fit_transform"):
            raise ValueError(
                f'weighting must be "bm25", a transformer of counts or None; {short_repr(self.weighting)} came.'
            )
        if self.vectorizer is not None and not hasattr(self.vectorizer, "fit_transform"):
            raise TypeError(f"vectorizer must be a transformer of text to counts; {short_repr(self.vectorizer)} came.")
        if self.embedder is not None and not callable(_get_encoder(self.embedder)):
            raise TypeError(
                f"embedder must have encode or transform, or be callable; {short_repr(self.embedder)} came."
            )


def _fade_columns(counts: Any, columns: np.ndarray) -> Any:
    """Counts in which these columns only decide between equals, in rows that have others."""
    left = drop_columns(counts, columns)
    if left.nnz == counts.nnz:
        return counts
    has_others = np.repeat(np.diff(left.indptr) > 0, np.diff(counts.indptr))
    faded = counts.copy()
    faded.data[has_others & np.isin(counts.indices, columns)] *= FADED
    return faded


def _compute_document_counts(documents: Any, weighting: Any) -> Any:
    counts = check_count_matrix(documents)
    _check_counts(counts, weighting)
    return counts


def _check_counts(counts: Any, weighting: Any) -> None:
    problem = find_invalid_counts(counts.data, weighting is not None)
    if problem is not None:
        raise ValueError(f"Documents want counts and got {problem}.")


def _check_n_terms(n_given: int, n_terms: int) -> None:
    if n_given != n_terms:
        raise ValueError(
            f"The vectorizer must give {n_terms} columns, as for the stored documents; it gave {n_given}. Pass "
            f"the one that was fitted with them: load(path, vectorizer=...)."
        )


def _fit_and_count(vectorizer: Any, texts: list[str]) -> Any:
    """Fit a vectorizer, and count."""
    try:
        return counting.fit_transform(vectorizer, texts)
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        raise ValueError(
            f"fit wants documents with words to search by, and none of the {len(texts)} that came has any. A word has "
            f"a letter or a digit, and is no stop word of a vectorizer that was given."
        ) from error


def _get_encoder(embedder: Any) -> Any:
    """What turns texts into embeddings."""
    return next((getattr(embedder, name) for name in ("encode", "transform") if hasattr(embedder, name)), embedder)


def _iterate_blocks(counts: Any) -> Iterator[Any]:
    for start in range(0, max(counts.shape[0], 1), _QUERIES):
        yield ops.take_rows(counts, slice(start, min(start + _QUERIES, counts.shape[0])))


def _build_results(position: np.ndarray, score: np.ndarray, ids: np.ndarray) -> SearchResults:
    """Names for positions; those that are found come first."""
    n_found = (position >= 0).sum(axis=1)
    pairs = [(row[:n], of_row[:n]) for row, of_row, n in zip(position, score, n_found, strict=True)]
    return SearchResults([ids[row] for row, _ in pairs], [of_row for _, of_row in pairs])
