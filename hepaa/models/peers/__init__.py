"""Detectors of other libraries behind the same face: baselines to compare with."""
