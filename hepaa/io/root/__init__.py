"""ROOT files: TTrees and RNTuples read into events, tables and histograms written."""
