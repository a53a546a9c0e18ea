"""Containers as SSH hosts, each with a container engine, and a storage node; for tests and demo."""
