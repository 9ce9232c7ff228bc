"""What `loom/plugin/v1` becomes; `make proto` writes it."""
