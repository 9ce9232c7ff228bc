"""The agents of a file: every `Agent` at its top level."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from loom_kernel import LoomError

from loom.agent import Agent


def load_agents(file: Path) -> list[Agent]:
    """Import *file*, a fresh one each time, and return the agents at its top level.

    The folder of the app (that which holds `agents/`) becomes importable.

    Raises:
        LoomError: it holds no agent.
        Exception: whatever its code raises.
    """
    app = str(file.parent.parent)
    if app not in sys.path:
        sys.path.insert(0, app)
    module = _import(file)
    found = [value for value in vars(module).values() if isinstance(value, Agent)]
    if not found:
        raise LoomError(
            f"{module.__name__} holds no agent: write agent = Agent(…) at its top level"
        )
    return list(dict.fromkeys(found))


class _Fresh(SourceFileLoader):
    """Compiles the text as it is now: two edits within the same second must both count."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return compile(self.get_data(path), path, "exec", dont_inherit=True)


def _import(file: Path) -> ModuleType:
    name = f"loom_app_{file.parent.parent.name.replace('-', '_')}.{file.stem}"
    loader = _Fresh(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader)
    if spec is None:
        raise LoomError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module
