"""LHC Olympics files: up to 700 particles an event in HDF5."""
