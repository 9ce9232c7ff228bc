"""What `loom/events/v1` becomes; `make proto` writes it."""
