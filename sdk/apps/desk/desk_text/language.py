"""Which language a text is in, and the lists that depend on it. Nothing is downloaded."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from functools import cache

import snowballstemmer  # type: ignore[import-untyped]  # it ships no types
import stopwordsiso
from sentencex import segment  # type: ignore[import-untyped]  # it ships no types

SAMPLE = 5_000
"""Words that are looked at to tell the language."""
NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "nl": "Dutch",
    "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "zh": "Chinese",
}  # fmt: skip
_STEMMERS = {code: name.lower() for code, name in NAMES.items()}
_SCRIPTS = {
    "ja": re.compile(r"[\u3040-\u30ff]"), "zh": re.compile(r"[\u4e00-\u9fff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"), "th": re.compile(r"[\u0e00-\u0e7f]"),
}  # fmt: skip
UNSPACED = frozenset({"ja", "zh", "th"})
"""Languages that put no spaces between words."""


@cache
def _word() -> re.Pattern[str]:
    """A run of letters with the marks that belong to them: without those Hindi falls apart."""
    marks = (chr(code) for code in range(sys.maxunicode + 1))
    joined = "".join(mark for mark in marks if unicodedata.category(mark) in ("Mn", "Mc"))
    return re.compile(rf"[^\W\d_][\w{joined}]*(?:['’-][^\W\d_][\w{joined}]*)*")


def words(text: str) -> list[str]:
    """The words of *text* in lower case, numbers left out."""
    return _word().findall(text.lower())


def guess(text: str) -> str:
    """The ISO 639-1 code of the language of *text*, or "" when nothing speaks for one.

    Scripts that belong to one language decide; otherwise the language whose stop words make up
    most of the text does, since those few words are half of any running text.
    """
    sample = text[: SAMPLE * 8]
    for code, letters in _SCRIPTS.items():
        if len(letters.findall(sample)) * 10 > len(sample):
            return code
    counts = Counter(words(sample)[:SAMPLE])
    shares = {code: sum(counts[word] for word in stop_words(code)) for code in sorted(NAMES)}
    # Lists differ in length by a factor of ten, and a long one matches more by accident.
    best = max(shares, key=lambda code: shares[code] / len(stop_words(code)) ** 0.25)
    return best if shares[best] * 5 >= counts.total() > 0 else ""


@cache
def stop_words(code: str) -> frozenset[str]:
    return frozenset(stopwordsiso.stopwords(code)) if code else frozenset()


def stems(items: list[str], code: str) -> list[str]:
    """Each word cut to its stem, where a stemmer for the language exists."""
    algorithm = _STEMMERS.get(code, "")
    if algorithm not in snowballstemmer.algorithms():
        return items
    return list(snowballstemmer.stemmer(algorithm).stemWords(items))


def sentences(text: str, code: str) -> list[str]:
    return [sentence.strip() for sentence in segment(code or "en", text) if sentence.strip()]
