"""Les Houches Event files: text (plain, gz, zst) and their HDF5 form."""
