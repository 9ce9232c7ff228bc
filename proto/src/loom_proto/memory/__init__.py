"""The generated code of each area, by version."""
