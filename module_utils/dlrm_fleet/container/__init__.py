"""The container engine and the benchmark's image."""
