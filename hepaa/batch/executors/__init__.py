"""Where shards are worked on: here, in processes, on Dask, in the jobs of a batch system."""
