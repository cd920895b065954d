"""The feature sets that come with hepaa, one family a file."""
