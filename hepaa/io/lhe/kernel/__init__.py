"""Compiled code that reads the text of LHE events."""
