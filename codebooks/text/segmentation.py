"""Segmentation of scripts without spaces between words, by the package budoux or into bigrams of characters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from itertools import pairwise

from codebooks.text.characters import MARKS

__all__ = ["has_segmenter", "is_grammar", "segment"]

_LONGEST_RUN = 100_000  # characters without spaces and signs; longer runs are data
_HAN = re.compile(r"[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30ff\u31f0-\u31ff]")
_HIRAGANA = re.compile(r"[\u3041-\u3096]+")
_EAST_ASIAN = re.compile(rf"(?:{_HAN.pattern}|[\u3041-\u3096]+|[\u30a1-\u30ff\u31f0-\u31ff]+)")
_CLUSTER = re.compile(rf"[\u0e40-\u0e44\u0ec0-\u0ec4]?.[{MARKS}\u0e30-\u0e3a]*", re.DOTALL)
_THAI = re.compile(r"[\u0e01-\u0e5b]")
# Characters that are common in traditional Chinese and have another form in simplified Chinese.
_TRADITIONAL = re.compile("[們個這國學會說時對發為來經關門問間開無機電車東馬語話讀書寫見現點後從]")
_MODELS = {
    "zh": "load_default_simplified_chinese_parser",
    "zh-hant": "load_default_traditional_chinese_parser",
    "th": "load_default_thai_parser",
}


def has_segmenter() -> bool:
    """Return whether budoux is installed."""
    return find_spec("budoux") is not None


def is_grammar(word: str) -> bool:
    """Return whether a Japanese word is short and all Hiragana, as most endings and particles are."""
    return len(word) <= 2 and _HIRAGANA.fullmatch(word) is not None


def segment(run: str, by_model: bool, japanese: bool = False) -> list[tuple[str, ...]]:
    """Split a run of characters of scripts without spaces into words.

    Parameters
    ----------
    run : str
        Letters of these scripts only.
    by_model : bool
        Whether to split Chinese, Japanese and Thai by budoux. Otherwise, and for other scripts, words are bigrams of
        characters.
    japanese : bool
        Whether Han characters without Kana are Japanese.

    Returns
    -------
    list of tuple of str
        Each word, followed by its parts.
    """
    if len(run) > _LONGEST_RUN:
        return []
    if not _EAST_ASIAN.match(run):
        if by_model and _THAI.match(run):
            return [(word,) for word in _parse("th", run)]
        return [(pair,) for pair in _make_pairs(_CLUSTER.findall(run))]
    if not by_model:
        return [(pair,) for pair in _make_bigrams(run)]
    model = "ja" if japanese or _KANA.search(run) else "zh-hant" if _TRADITIONAL.search(run) else "zh"
    # A phrase of Japanese ends in particles, which are Hiragana after Han or Katakana.
    words = [word for phrase in _parse(model, run) for word in _EAST_ASIAN.findall(phrase)]
    return [(word, *(_make_bigrams(word) if len(word) > 2 and _HAN.fullmatch(word) else ())) for word in words]


def _make_bigrams(run: str) -> list[str]:
    """Return the bigrams of all characters, and single Han characters, which are words too."""
    pairs = [run[i : i + 2] for i in range(len(run) - 1)]
    return pairs + _HAN.findall(run) if len(run) == 1 else pairs + [one for one in run if _HAN.match(one)]


def _make_pairs(clusters: list[str]) -> list[str]:
    """Return the bigrams of letters with their marks."""
    if len(clusters) < 2:
        return clusters
    return [first + second for first, second in pairwise(clusters)]


def _parse(model: str, text: str) -> list[str]:
    return _load_parser(model)(text)


@cache
def _load_parser(model: str) -> Callable[[str], list[str]]:
    try:
        import budoux
    except ImportError as error:
        raise ImportError(
            'segmenter="budoux" needs the package budoux, which is not installed: pip install "codebooks-learn[words]".'
        ) from error
    if model != "ja":
        return getattr(budoux, _MODELS[model])().parse
    words = files(budoux) / "models" / "ja_word.json"  # missing in older releases, which split into phrases
    if not words.is_file():
        return budoux.load_default_japanese_parser().parse
    return budoux.Parser(json.loads(words.read_text(encoding="utf-8"))).parse
