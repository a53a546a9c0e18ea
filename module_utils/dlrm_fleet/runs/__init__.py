"""A run on a host: its lock with a lease, its holder, its id, and which run a command takes."""
