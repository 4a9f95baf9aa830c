"""Corpora to try things on: shipped glosses, docstrings that are installed anyway, known sets, planted topics."""

from codebooks.datasets.corpus import Corpus
from codebooks.datasets.docstrings import load_docstrings
from codebooks.datasets.folder import load_corpus
from codebooks.datasets.glosses import load_glosses
from codebooks.datasets.planted import PlantedCorpus, planted_corpus

__all__ = ["Corpus", "PlantedCorpus", "load_corpus", "load_docstrings", "load_glosses", "planted_corpus"]
