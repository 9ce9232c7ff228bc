"""Reads a text document and says what can be known about it; a model's opinion may replace some."""

from __future__ import annotations

from desk_text.document import SUFFIXES, Unreadable
from desk_text.findings import Findings, analyse
from desk_text.opinion import READ, SYSTEM, Malformed, Opinion, read_opinion, schema, told_by
from desk_text.report import (
    Stamp,
    digest_of,
    is_report,
    is_up_to_date,
    may_write,
    read_stamp,
    render,
    report_paths,
)

__all__ = [
    "READ",
    "SUFFIXES",
    "SYSTEM",
    "Findings",
    "Malformed",
    "Opinion",
    "Stamp",
    "Unreadable",
    "analyse",
    "digest_of",
    "is_report",
    "is_up_to_date",
    "may_write",
    "read_opinion",
    "read_stamp",
    "render",
    "report_paths",
    "schema",
    "told_by",
]
