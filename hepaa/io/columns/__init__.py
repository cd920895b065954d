"""Feature files, one row an event: HDF5, CSV, npy, npz."""
