"""Containers as real SSH hosts with their own engine, and a storage node: for tests, a demo."""
