"""The race for the fastest engine and batch of a machine type."""
