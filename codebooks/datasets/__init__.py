"""Corpora to try things on: shipped glosses, docstrings that are installed anyway, planted topics."""

from codebooks.datasets.corpus import Corpus
from codebooks.datasets.docstrings import load_docstrings
from codebooks.datasets.glosses import load_glosses
from codebooks.datasets.planted import PlantedCorpus, make_planted_corpus

__all__ = ["Corpus", "PlantedCorpus", "load_docstrings", "load_glosses", "make_planted_corpus"]
