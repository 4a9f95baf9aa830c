"""Tables and arguments of a fitted `TopicModel` for other tools: BERTopic, pyLDAvis, topicwizard and datamapplot."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.topic_model.description import describe_topics
from codebooks.topic_model.fitted import FittedTopics, find_positions
from codebooks.topic_model.nearest import draw_sample

__all__ = ["InterchangeMixin"]

_N_WORDS_OF_NAME = 4  # as in BERTopic
# The weight of the frequencies of the whole corpus in those of a topic, in words: no probability is zero.
_WEIGHT = 1.0
_MOST_POSITIONS, _N_DIMENSIONS, _PERPLEXITY = 5000, 50, 30.0  # of the map
_FEWEST_POSITIONS = 4


class _Tables(NamedTuple):
    """Counts of the documents that a model keeps, and what the topics say about them."""

    counts: Any  # CSR matrix (n_documents, n_terms), of terms that occur
    terms: NDArray[Any]  # (n_terms,) str
    shares: NDArray[Any]  # (n_documents, n_topics), rows sum to 1
    distributions: NDArray[Any]  # (n_topics, n_terms), positive, rows sum to 1


class InterchangeMixin(FittedTopics):
    """Methods that show the topics in other tools."""

    def get_topic_info(self) -> Any:
        """Return a table of the topics with the columns of BERTopic's method of this name.

        Returns
        -------
        pandas.DataFrame
            With the columns `Topic` (the id), `Count` (documents), `Name` (the id and four words, joined by "_"),
            `CustomName` if a topic has been renamed or seeded, `Representation` (words) and `Representative_Docs`. Rows
            are in the order of ids; the first is that of documents without a topic, -1, if there are any.

        Raises
        ------
        ImportError
            If pandas is not installed.

        See Also
        --------
        TopicList.to_frame : The table of `topics_`, with coherence and weights, also for polars.

        Examples
        --------
        >>> from codebooks import TopicModel
        >>> texts = ["goal match team", "match goal league", "bank loan credit", "loan bank interest"] * 5
        >>> model = TopicModel(2, random_state=0).fit(texts)
        >>> model.get_topic_info()["Count"].tolist()
        [10, 10]
        """
        check_is_fitted(self)
        pandas = _import_package("pandas", "pandas", "get_topic_info")
        topics = sorted(self.topics_, key=lambda topic: topic.id)
        if (self._kept_labels < 0).any():
            documents = self._documents
            positions = find_positions(self.topic_ids_, self._kept_labels) + 1
            others = describe_topics(
                documents.words,
                documents.texts,
                documents.features,
                positions,
                ids=[-1, *self.topic_ids_.tolist()],
                terms=self.vectorizer_.get_feature_names_out(),
                names={-1: "no topic"},
            )
            topics.insert(0, others[0])
        columns: dict[str, list[Any]] = {
            "Topic": [topic.id for topic in topics],
            "Count": [topic.size for topic in topics],
            "Name": [f"{topic.id}_{'_'.join(topic.words[:_N_WORDS_OF_NAME])}" for topic in topics],
        }
        if self._restrictions.names:
            columns["CustomName"] = [topic.name for topic in topics]
        columns["Representation"] = [list(topic.words) for topic in topics]
        columns["Representative_Docs"] = [list(topic.documents) for topic in topics]
        return pandas.DataFrame(columns)

    def to_pyldavis(self, **settings: Any) -> Any:
        """Prepare the topics for pyLDAvis, which shows their words and how near they are to each other.

        The probability of a word in a topic is its share of the words of the topic's documents, with one word of the
        whole corpus added, so that it is positive for any learner, also with an `embedder`.

        Parameters
        ----------
        **settings : object
            Passed to `pyLDAvis.prepare`. By default topics are in the order of `topic_ids_`, and numbered from 0.

        Returns
        -------
        pyLDAvis.PreparedData
            For `pyLDAvis.display` and `pyLDAvis.save_html`.

        Raises
        ------
        ImportError
            If pyLDAvis is not installed.
        ValueError
            If the model has one topic, which pyLDAvis cannot compare with others.

        See Also
        --------
        to_topicwizard : An interactive application with words, documents and topics.
        similarity : The similarity of each pair of topics.

        Examples
        --------
        >>> import pyLDAvis  # doctest: +SKIP
        >>> pyLDAvis.save_html(model.to_pyldavis(), "topics.html")  # doctest: +SKIP
        """
        check_is_fitted(self)
        prepare = _import_package("pyLDAvis", "pyLDAvis", "to_pyldavis").prepare
        if len(self.topic_ids_) < 2:
            raise ValueError("to_pyldavis expected at least 2 topics, got 1. Fit with a larger `n_topics`.")
        tables = self._build_tables()
        return prepare(
            topic_term_dists=tables.distributions,
            doc_topic_dists=tables.shares,
            doc_lengths=np.asarray(tables.counts.sum(axis=1)).ravel(),
            vocab=tables.terms,
            term_frequency=np.asarray(tables.counts.sum(axis=0)).ravel(),
            **{"sort_topics": False, "start_index": 0, "n_jobs": 1, **settings},
        )

    def to_topicwizard(self) -> dict[str, Any]:
        """Return the documents, words and topics as the `TopicData` of topicwizard.

        Returns
        -------
        dict
            For `topicwizard.visualize(topic_data=...)` and the functions of `topicwizard.figures`.

        See Also
        --------
        to_pyldavis : One page with words and topics, without documents.

        Examples
        --------
        >>> from codebooks import TopicModel
        >>> texts = ["goal match team", "match goal league", "bank loan credit", "loan bank interest"] * 5
        >>> data = TopicModel(2, random_state=0).fit(texts).to_topicwizard()
        >>> data["topic_term_matrix"].shape == (2, len(data["vocab"]))
        True
        >>> import topicwizard  # doctest: +SKIP
        >>> topicwizard.visualize(topic_data=data)  # doctest: +SKIP
        """
        check_is_fitted(self)
        tables = self._build_tables()
        return {
            "corpus": list(self._documents.texts),
            "vocab": tables.terms,
            "document_term_matrix": tables.counts,
            "document_topic_matrix": tables.shares,
            "topic_term_matrix": tables.distributions,
            "document_representation": ops.to_host(self._documents.features),
            "transform": self.transform,
            "topic_names": [topic.name for topic in self.topics_],
        }

    def to_datamapplot(self, **settings: Any) -> Any:
        """Plot a map of the documents with datamapplot, on which names of topics are labels.

        Positions are those of t-SNE. Of more than 5,000 documents a sample is shown, always the same. The font is
        one of matplotlib, so that nothing is downloaded.

        Parameters
        ----------
        **settings : object
            Passed to `datamapplot.create_plot`, for example `title`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If datamapplot is not installed.
        ValueError
            If the model has fewer than 4 documents.

        See Also
        --------
        to_topicwizard : An interactive application with words, documents and topics.

        Examples
        --------
        >>> model.to_datamapplot(title="Topics of the news").savefig("map.png", bbox_inches="tight")  # doctest: +SKIP
        """
        check_is_fitted(self)
        create_plot = _import_package("datamapplot", "datamapplot", "to_datamapplot").create_plot
        rows = draw_sample(len(self._kept_labels), _MOST_POSITIONS)
        if len(rows) < _FEWEST_POSITIONS:
            raise ValueError(f"to_datamapplot expected at least 4 documents, got {len(rows)}. Fit with more documents.")
        fonts = {"use_system_fonts": True, "font_family": "DejaVu Sans"}
        settings = {"noise_label": "no topic", **fonts, **settings}
        names = np.array([*(topic.name for topic in self.topics_), settings["noise_label"]], dtype=object)
        labels = names[find_positions(self.topic_ids_, self._kept_labels[rows])]  # -1 is the last
        return create_plot(_compute_positions(ops.take_rows(self._documents.features, rows)), labels, **settings)[0]

    def _build_tables(self) -> _Tables:
        """Count the words of documents and of topics; terms that no document contains are left out."""
        vectorizer, documents = self.vectorizer_, self._documents
        if isinstance(vectorizer, CountVectorizer):  # also TfidfVectorizer, before it weighs the counts
            counts = CountVectorizer.transform(vectorizer, documents.texts).astype(np.float64)
        else:
            counts = (documents.words > 0).astype(np.float64)
        used = np.asarray(counts.sum(axis=0)).ravel() > 0
        counts = counts[:, used]
        shares = np.array(self._compute_topic_shares(documents.features)[0], dtype=np.float64)
        for row, id in self._restrictions.moved.items():
            shares[row] = self.topic_ids_ == id
        shares /= shares.sum(axis=1, keepdims=True)
        frequency = np.asarray(counts.sum(axis=0)).ravel()
        distributions = (counts.T @ shares).T + _WEIGHT * frequency / frequency.sum()
        distributions /= distributions.sum(axis=1, keepdims=True)
        return _Tables(counts, vectorizer.get_feature_names_out()[used], shares, distributions)


def _compute_positions(features: Any) -> NDArray[Any]:
    """Compute the positions of documents on a plane by t-SNE, from the directions of their features."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import normalize

    X = normalize(ops.to_host(features))
    if ops.is_sparse(X):
        X = TruncatedSVD(min(_N_DIMENSIONS, *X.shape), random_state=0).fit_transform(X)
    varies = (np.ptp(X, axis=0) > 0).sum() >= 2
    perplexity = min(_PERPLEXITY, (len(X) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca" if varies else "random", random_state=0)
    return tsne.fit_transform(X)


def _import_package(module: str, package: str, method: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"`{method}` needs {package}. Install it: pip install {package}") from error
