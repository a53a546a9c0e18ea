"""Measurements with LoadGen: probe, Offline and Server runs, the accuracy score."""
