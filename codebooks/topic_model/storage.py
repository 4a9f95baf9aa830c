"""Saving and loading of `TopicModel`, and search in its documents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

import codebooks
from codebooks.errors import UserError, short_repr
from codebooks.interpret.topics import Topic, TopicList
from codebooks.storage import pack_strings, unpack_strings
from codebooks.topic_model.files import load_object, save_object
from codebooks.topic_model.fitted import Documents, Edit, FittedTopics, Restrictions, Stream

if TYPE_CHECKING:
    from typing import Self

    from codebooks.retrieval.retriever import HopfieldRetriever

__all__ = ["StorageMixin"]

_FORMAT = 1
_ESTIMATORS = ("vectorizer_", "preparation_", "learner_")
_ARRAYS = ("topic_ids_", "labels_", "_kept_labels", "_component_topics")


class StorageMixin(FittedTopics):
    """Methods that save and load a model, and search its documents."""

    def save(self, path: str | Path) -> None:
        """Write the model to one file, with the documents and without executable code.

        The file is replaced only when the new one is complete. An encoder is saved by its name.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        TypeError
            If a part of the model cannot be saved, such as a lambda. A function of a module is saved by its name; to
            load it, `trust` the file.
        """
        check_is_fitted(self)
        if not isinstance(path, str | PathLike):
            raise TypeError(f"`path` must be a file name, got {short_repr(path)}.")
        for name, value in self.get_params().items():
            if "<" in getattr(value, "__qualname__", ""):  # a lambda or a local function has no name to load it by
                raise TypeError(
                    f"TopicModel cannot save `{name}`, got {short_repr(value)}. Define this function in a module."
                )
        try:
            save_object(self._describe(), path)
        except (TypeError, AttributeError, NotImplementedError) as error:
            raise TypeError(
                f"TopicModel cannot save a part of the model: {error!s:.200}. Give the embedder by name, and use a "
                "vectorizer without functions."
            ) from error

    @classmethod
    def load(cls, path: str | Path, *, trust: bool = False) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : str or Path
        trust : bool, default=False
            Whether the file may contain other classes than those of codebooks and scikit-learn. Loading such a file can
            run any code: set it only for files from a source that you trust.

        Returns
        -------
        TopicModel

        Raises
        ------
        FileNotFoundError
            If there is no file.
        ValueError
            If the file is no model, is damaged, or was written by a newer version.
        """
        file = Path(path)
        if not file.exists():
            raise FileNotFoundError(
                f"`path` must be a file that TopicModel.save wrote, got {file}, which does not exist."
            )
        try:
            content = load_object(file, "TopicModel.load(path, trust=True)", trust=trust)
            if isinstance(content, Pipeline):
                raise UserError(
                    f"{file} was made by an older version of codebooks; create it again with codebooks topics, or "
                    "TopicModel.save."
                )
            description = content if isinstance(content, dict) else {}
            if description.get("kind") != cls.__name__:
                raise UserError(f"{file} is no TopicModel. Use a file that TopicModel.save wrote.")
            if description["format"] > _FORMAT:
                raise UserError(
                    f"{file} was written by version {description['version']} of codebooks. Install this version or a "
                    "newer one."
                )
            return cls._restore(description)
        except UserError:
            raise
        except Exception as error:  # a damaged file can raise anything
            reason = f"{type(error).__name__}: {error!s:.200}"
            raise UserError(f"cannot load {file} ({reason}). Save the model again.") from error

    def retriever(self, **settings: Any) -> HopfieldRetriever:
        """Return a search engine over the documents of the model; ids are their positions.

        Parameters
        ----------
        **settings
            Parameters of `HopfieldRetriever`.

        Returns
        -------
        HopfieldRetriever
            It keeps the documents in `texts_`.

        Examples
        --------
        >>> from codebooks import TopicModel
        >>> model = TopicModel(2, random_state=0).fit(["red car", "fast car", "red apple", "ripe apple"])
        >>> model.retriever().search("ripe", k=1).ids
        [array([3])]
        """
        from codebooks.retrieval.retriever import HopfieldRetriever

        check_is_fitted(self)
        return HopfieldRetriever(**{"keep_texts": True, **settings}).fit(self._documents.texts)

    def report(
        self,
        path: str | Path,
        *,
        labels: Sequence[Any] | None = None,
        timestamps: Sequence[Any] | None = None,
        title: str | None = None,
    ) -> Path:
        """Write one HTML page that shows the topics and the documents; see `codebooks.report.write_report`.

        Parameters
        ----------
        path : str or Path
            The file, for example "report.html".
        labels, timestamps : sequence, length n_documents, optional
            Known labels and times of the documents.
        title : str, optional

        Returns
        -------
        Path
            The file.
        """
        from codebooks.report import write_report

        return write_report(self, path, labels=labels, timestamps=timestamps, title=title)

    def _describe(self, *, with_documents: bool = True) -> dict[str, Any]:
        """Return the model as a dict of estimators, arrays and plain values."""
        documents, limits = self._documents, self._restrictions
        origin = vars(self).get("_origin")
        return {
            "kind": type(self).__name__,
            "format": _FORMAT,
            "version": codebooks.__version__,
            "parameters": self.get_params(deep=False),
            "estimators": {name: getattr(self, name) for name in _ESTIMATORS},
            "arrays": {name: getattr(self, name) for name in _ARRAYS},
            "next_id": self._next_id,
            "reject_below": self.reject_below_,
            "topics": [vars(topic) for topic in self.topics_],
            "history": [list(edit) for edit in self.history_],
            "names": list(limits.names.items()),
            "seeds": list(limits.seeds.items()),
            "moved": list(limits.moved.items()),
            "pinned": sorted(limits.pinned),
            "forbidden": list(limits.forbidden),
            "texts": list(pack_strings(documents.texts if with_documents else [])),
            "words": documents.words if with_documents else documents.words[:0],
            # With words as features there is one matrix.
            "features": documents.features if with_documents and self.preparation_ is not None else None,
            "evidence": documents.evidence if with_documents else None,
            "reference": documents.reference if with_documents else None,
            "stream": None if self._stream is None or not with_documents else _pack_stream(self._stream),
            "origin": None if origin is None else origin._describe(with_documents=False),
        }

    @classmethod
    def _restore(cls, description: dict[str, Any]) -> Self:
        model = cls(**description["parameters"])
        for name, value in [*description["estimators"].items(), *description["arrays"].items()]:
            setattr(model, name, value)
        model._next_id, model.reject_below_ = description["next_id"], description["reject_below"]
        model.topics_ = TopicList(Topic(**_make_tuples(fields)) for fields in description["topics"])
        model.history_ = tuple(Edit(*edit) for edit in description["history"])
        model._restrictions = Restrictions(
            dict(description["names"]),
            dict(description["seeds"]),
            dict(description["moved"]),
            frozenset(description["pinned"]),
            tuple(description["forbidden"]),
        )
        features = description["features"]
        words = description["words"]
        model._documents = Documents(
            unpack_strings(*description["texts"]),
            words,
            words if features is None else features,
            description.get("evidence"),
            description.get("reference"),
        )
        model._stream = None if description.get("stream") is None else _unpack_stream(description["stream"])
        model.selection_, model._confidence = None, None
        if model.reject_below_ is not None and model._documents.texts:
            model._reject_documents(model._find_topics(model._documents.features))
        if description["origin"] is not None:
            model._origin = cls._restore(description["origin"])
        return model


def _pack_stream(stream: Stream) -> dict[str, Any]:
    """Return the fields of a stream, with arrays instead of the dict of candidates."""
    numbers = list(stream.candidates.values())
    return {
        **stream._asdict(),
        "candidates": list(pack_strings(list(stream.candidates))),
        "n_documents_of_candidates": np.array(list(map(len, numbers)), dtype=np.int64),
        "documents_of_candidates": np.array(list(chain.from_iterable(numbers)), dtype=np.int64),
    }


def _unpack_stream(fields: dict[str, Any]) -> Stream:
    fields = dict(fields)
    ends = np.cumsum(fields.pop("n_documents_of_candidates"))[:-1]
    numbers = np.split(fields.pop("documents_of_candidates"), ends)
    terms = unpack_strings(*fields["candidates"])
    fields["candidates"] = {term: part.tolist() for term, part in zip(terms, numbers, strict=False)}
    return Stream(**fields)


def _make_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
