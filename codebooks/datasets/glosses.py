"""A small corpus that is shipped with the package: noun glosses of WordNet 3.0 with their subject as label."""

from __future__ import annotations

import gzip
from pathlib import Path

from codebooks.datasets.corpus import Corpus

__all__ = ["load_glosses"]

_FILE = Path(__file__).with_name("data") / "glosses.tsv.gz"


def load_glosses() -> Corpus:
    """Load about 4,000 noun glosses of WordNet 3.0, short definitions of 13 kinds of things.

    A document is a term and its definition, such as "bivalve: marine or freshwater mollusks having a soft body with
    platelike gills enclosed within two shells hinged together". The file is part of the package: the result is the same
    on every machine, and nothing is downloaded.

    Returns
    -------
    Corpus
        `documents` in alphabetical order; `ids`, the defined terms; `labels`, the lexicographer files of WordNet that
        the terms belong to: animal, artifact, body, food, location, object, person, phenomenon, plant, possession,
        state, substance and time. `target` and `target_names` are the labels as integers and their names.

    See Also
    --------
    load_docstrings : Docstrings of installed packages, a larger corpus of longer documents.

    Notes
    -----
    From each lexicographer file, the selection takes 320 synsets in even steps (fewer of "phenomenon" and "time", which
    have fewer), among those that are the first sense of their first word and for which the definition, without example
    sentences, has 12 to 24 words. Synsets with offensive or sexual content are left out. `tools/make_glosses.py` in the
    source repository makes the file.

    WordNet 3.0 is copyright 2006 by Princeton University. Its licence permits use, modification and distribution with
    the notice in `LICENSE-WordNet.txt`, in the same folder as the file.

    References
    ----------
    .. [1] C. Fellbaum (ed.), "WordNet: An Electronic Lexical Database", MIT Press, 1998.

    Examples
    --------
    >>> from codebooks.datasets import load_glosses
    >>> corpus = load_glosses()
    >>> len(corpus.documents), len(corpus.target_names)
    (4034, 13)
    >>> corpus.documents[586]
    'carbonara: sauce for pasta; contains eggs and bacon or ham and grated cheese'
    >>> corpus.ids[586], corpus.labels[586], int(corpus.target[586])
    ('carbonara', 'food', 3)
    """
    documents, labels = [], []
    for line in gzip.decompress(_FILE.read_bytes()).decode().splitlines():
        label, document = line.split("\t")
        documents.append(document)
        labels.append(label)
    return Corpus(documents, labels, "glosses", ids=[document.partition(": ")[0] for document in documents])
