"""Detectors whose score is a density: flows and mixtures."""
