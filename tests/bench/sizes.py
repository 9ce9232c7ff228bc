"""How much is installed: `python -m tests.bench.sizes SITE-PACKAGES` prints JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.bench.environments import installed_size

if __name__ == "__main__":
    print(json.dumps(installed_size(Path(sys.argv[1]))))
