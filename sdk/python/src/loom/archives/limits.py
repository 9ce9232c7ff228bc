"""How much an archive may hold. Sizes in bytes."""

from __future__ import annotations

MIB = 1 << 20
LARGEST = 64 * MIB
"""The archive itself, and all that comes out of it."""
MOST_ENTRIES = 2000
MOST_RATIO = 20
"""How many bytes may come out of one, beyond the floors below."""
FLOOR = 64 << 10
"""What one entry may always become."""
FLOOR_OF_ALL = MIB
LONGEST_PATH = 240
LONGEST_NAME = 100
DEEPEST = 16
"""Folders within each other, the file included."""
LONGEST_MANIFEST = 64 << 10
DEEPEST_MANIFEST = 16
BLOCK = 64 << 10


def is_bomb(size: int, packed: int, floor: int = FLOOR) -> bool:
    """Whether too much comes out of too little."""
    return size > floor and size > packed * MOST_RATIO
