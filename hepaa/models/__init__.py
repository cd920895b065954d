"""Networks, loss terms and the one training loop behind every neural detector."""
