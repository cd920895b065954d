"""The training engine: stages, batches, steps, stopping, checkpoints."""
