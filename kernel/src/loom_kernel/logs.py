"""Logging of the process: text for people, JSON lines for machines, always on stderr."""

from __future__ import annotations

import logging
import sys

from loom_kernel.envelope import encode_json


class JsonLines(logging.Formatter):
    """One JSON object a record: time (UNIX seconds), level, logger, message, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return encode_json(line).decode()


def configure_logging(form: str) -> None:
    """Log to stderr in *form*, `text` or `json`, from INFO up."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonLines() if form == "json" else text)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
