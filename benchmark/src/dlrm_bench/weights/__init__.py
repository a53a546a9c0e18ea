"""Weights on disk: MLCommons' snapshot, their names, the dump."""
