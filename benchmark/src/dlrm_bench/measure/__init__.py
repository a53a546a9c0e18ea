"""Measurements with LoadGen: probe, Offline, Server, the score."""
