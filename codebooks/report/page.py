"""The report: one HTML file with the topics, the documents and what can be improved."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from codebooks.errors import short_repr
from codebooks.interpret.over_time import compute_topic_trends
from codebooks.report.content import build_content
from codebooks.report.label_table import count_labels
from codebooks.topic_model.fitted import find_positions
from codebooks.topic_model.model import TopicModel

__all__ = ["write_report"]

# Neither ends the script that contains the data, nor a line of JavaScript.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def write_report(
    model: TopicModel,
    path: str | Path,
    *,
    labels: Sequence[Any] | None = None,
    timestamps: Sequence[Any] | None = None,
    title: str | None = None,
) -> Path:
    """Write a page that shows the topics of a model: one HTML file, which opens in a browser without a network.

    It contains a summary with measures of quality, a table of the topics with their words and documents, a map of the
    documents, the hierarchy, a search, documents without topic, advice on topics to merge, split or remove, and tables
    to download. The map shows at most 5,000 documents, placed by t-SNE, which takes most of the time.

    Parameters
    ----------
    model : TopicModel
        A fitted model. The page contains the beginnings of at most some thousand documents.
    path : str or Path
        The file, for example "report.html". It is replaced only when the new one is complete.
    labels : sequence of str or int, length n_documents, optional
        Known labels of the documents, for a table of topics by labels. Missing ones (None, nan) are left out.
    timestamps : sequence of datetime, str or number, length n_documents, optional
        The time of each document, for the change of topics over time. Missing ones are left out.
    title : str, optional
        Title of the page. Default: the number of documents.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ImportError
        Jinja2 is not installed.
    TypeError, ValueError
        `model` is no TopicModel, `title` is no string, or `labels` or `timestamps` are not one for each document.
    NotFittedError
        The model is not fitted.
    OSError
        The file cannot be written.

    See Also
    --------
    codebooks.TopicModel : The model.
    codebooks.plots : Figures for slides and papers.

    Examples
    --------
    >>> from codebooks import TopicModel
    >>> from codebooks.report import write_report
    >>> texts = ["red car", "fast car", "red apple", "ripe apple"]
    >>> write_report(TopicModel(2, random_state=0).fit(texts), "report.html")  # doctest: +SKIP
    """
    environment = _make_environment()
    if not isinstance(model, TopicModel):
        raise TypeError(f"`model` must be a fitted TopicModel, got {short_repr(model)}. Use TopicModel().fit(texts).")
    check_is_fitted(model)
    if title is not None and not isinstance(title, str):
        raise TypeError(f"`title` must be a string or None, got {short_repr(title)}.")
    file = Path(path)
    _check_place(file)
    tables = model._get_tables()
    shares, n_documents = tables["shares"], len(model._kept_labels)
    positions = find_positions(model.topic_ids_, model._kept_labels)
    counted = None if labels is None else count_labels(labels, positions, len(model.topic_ids_))
    trends = None
    if timestamps is not None:
        if hasattr(timestamps, "__len__") and len(timestamps) != n_documents:
            raise ValueError(
                f"`timestamps` must have one time for each of the {n_documents} documents, got {len(timestamps)}."
            )
        trends = compute_topic_trends(shares, timestamps, ids=tables["ids"], names=tables["names"])
    content = build_content(model, title, counted, trends, shares)
    script, style = _read("report.js"), _read("report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.from_string(_read("report.html.jinja")).render(
        content, data=_format_json(content["data"]), script=script, style=style, digest=digest
    )
    _write_atomically(file, page)
    return file


def _make_environment() -> Any:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise ImportError("write_report needs Jinja2. Install it: pip install 'codebooks-learn[report]'") from error
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _read(name: str) -> str:
    return resources.files("codebooks.report").joinpath(name).read_text(encoding="utf-8")


def _format_json(data: Any) -> str:
    """Return JSON that can stand in a script element: its text contains no tag and no line separator."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_ESCAPES)


def _check_place(file: Path) -> None:
    if file.is_dir():
        raise IsADirectoryError(f"`path` must be a file, got the folder {short_repr(str(file))}. Add a file name.")
    if not file.absolute().parent.is_dir():
        raise FileNotFoundError(f"`path` must be in a folder that exists, got {short_repr(str(file))}. Create it.")


def _write_atomically(file: Path, text: str) -> None:
    """Write a file that is replaced only when the new one is complete."""
    with tempfile.TemporaryDirectory(prefix=".codebooks-", dir=file.absolute().parent) as folder:
        temporary = Path(folder, "page")
        # Parts of file names that are not valid UTF-8 are lone surrogates.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        os.replace(temporary, file)
