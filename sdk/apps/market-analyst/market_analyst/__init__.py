"""The arithmetic of the market analyst: prices in, opinions and plans out."""
