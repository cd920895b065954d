"""Encoders that are trained before there is a question, and what is built on them."""
