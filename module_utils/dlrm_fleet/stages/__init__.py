"""Stages of one host: catalogue, keys, plan, start, watch, end, prune."""
