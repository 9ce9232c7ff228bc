"""`loom`, and `python -m loom_kernel`."""

import gc


def main() -> None:
    """Start without the garbage collector: what start-up makes stays."""
    gc.disable()
    from loom_kernel.cli import main as run

    run()


if __name__ == "__main__":
    main()
