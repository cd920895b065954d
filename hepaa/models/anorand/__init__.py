"""AnoRand: a detector trained on pseudo labels that it makes itself."""
