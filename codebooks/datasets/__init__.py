"""Corpora for examples and tests: definitions of nouns, and counts drawn from known topics."""

from codebooks.datasets.corpus import Corpus
from codebooks.datasets.glosses import load_glosses
from codebooks.datasets.planted import PlantedCorpus, make_planted_corpus

__all__ = ["Corpus", "PlantedCorpus", "load_glosses", "make_planted_corpus"]
