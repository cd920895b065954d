"""Executors work on shards: here, in processes, on Dask, in the jobs of a batch system."""
