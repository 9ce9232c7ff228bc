"""The listeners of the carriers that need a library."""
