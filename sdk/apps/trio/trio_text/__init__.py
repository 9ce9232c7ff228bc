"""What the three agents do with words: split a question, search a library, write an answer."""

from __future__ import annotations

from trio_text.library import Library, Passage, words
from trio_text.writing import aspects, file_name, write

__all__ = ["Library", "Passage", "aspects", "file_name", "words", "write"]
