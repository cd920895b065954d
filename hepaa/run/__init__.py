"""A run: from a card to scores, histograms, significances and the report."""
