"""Tools in archives: a zip of one tool's folder, read and written without trusting a byte of it.

Nothing here runs anything of an archive, asks a network, or writes outside of the folder whose
handle it is given. What is not plainly an archive as `pack` makes them is refused.
"""

from __future__ import annotations

from loom.archives.contents import Content
from loom.archives.folders import read_folder, write_folder
from loom.archives.manifests import MANIFEST, TOOL_NAME, ToolManifest, read_manifest
from loom.archives.opening import Archive, open_archive
from loom.archives.packing import pack
from loom.archives.refusals import ArchiveRefused

__all__ = [
    "MANIFEST",
    "TOOL_NAME",
    "Archive",
    "ArchiveRefused",
    "Content",
    "ToolManifest",
    "open_archive",
    "pack",
    "read_folder",
    "read_manifest",
    "write_folder",
]
