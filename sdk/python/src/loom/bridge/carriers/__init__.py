"""What moves frames: one module a carrier, imported only by whoever uses it."""
