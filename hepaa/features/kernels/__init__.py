"""Compiled code of the features, one formula a function."""
