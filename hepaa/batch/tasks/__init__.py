"""Tasks: pure functions of one shard. What they are asked is plain data, so that it can be hashed and sent anywhere."""
