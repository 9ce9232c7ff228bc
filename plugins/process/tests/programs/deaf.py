"""Listens, but never answers."""

import os
import socket
from pathlib import Path

place = str(Path(os.environ["LOOM_PLUGIN_DIR"], "deaf.sock"))
server = socket.socket(socket.AF_UNIX)
server.bind(place)
server.listen()
print(f"LOOM|1|1|unix|{place}|grpc", flush=True)
input()
