"""Drivers of `loom.embedders`."""
