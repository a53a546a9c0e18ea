"""Processes that compute batches."""
