"""The embedder `local`: a sentence model on this machine, by the package sentence-transformers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loom_kernel import ConfigError, LoomError

PACKAGE = "sentence_transformers"


class LocalEmbedder:
    """See `loom.contracts.Embedder`. Options: `model` (its folder) and `dimension`.

    Nothing is downloaded: the folder has to be there.
    """

    floor = 0.25

    def __init__(self, options: Mapping[str, Any]) -> None:
        if unknown := sorted(options.keys() - {"model", "dimension"}):
            raise ConfigError(f"the embedder local knows no option {unknown[0]!r}")
        self._folder = Path(str(options.get("model", ""))).expanduser()
        dimension = options.get("dimension", 384)
        if type(dimension) is not int or dimension < 1:
            raise ConfigError(f"dimension is {dimension!r}; it must be that of the model")
        if not options.get("model") or not self._folder.is_dir():
            raise ConfigError(
                f"model is {options.get('model', '')!r}; it must be the folder of a model"
            )
        if find_spec(PACKAGE) is None:
            raise LoomError(
                "the embedder local needs the package sentence-transformers, which is not "
                "installed; install it, or set embedder to hashing or openai"
            )
        self.dimension = dimension
        self.name = f"local/{self._folder.resolve()}/{dimension}"
        self._model: Any = None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        return await asyncio.to_thread(self._embed, list(texts))

    def _embed(self, texts: list[str]) -> list[bytes]:
        if self._model is None:
            make = import_module(PACKAGE).SentenceTransformer
            self._model = make(str(self._folder), device="cpu", local_files_only=True)
        rows = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return [row.astype("<f4").tobytes() for row in rows]

    async def aclose(self) -> None:
        self._model = None
