"""Inference engines: what computes a batch, and which one is chosen."""
