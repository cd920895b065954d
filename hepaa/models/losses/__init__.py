"""Terms of an objective and the schedules of their factors."""
