"""Ways to score events of a window: each learns from data alone, and higher is more signal-like."""
