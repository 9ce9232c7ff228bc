"""What `loom/bridge/v1` becomes; `make proto` writes it."""
