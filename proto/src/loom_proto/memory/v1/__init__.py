"""What `loom/memory/v1` becomes; `make proto` writes it."""
