"""`python -m loom_kernel` is `loom`."""

from loom_kernel.cli import main

main()
