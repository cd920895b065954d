"""Parquet files of arrays and metadata: tables of features, and events with their collections."""
