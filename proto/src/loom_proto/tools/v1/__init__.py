"""What `loom/tools/v1` becomes; `make proto` writes it."""
