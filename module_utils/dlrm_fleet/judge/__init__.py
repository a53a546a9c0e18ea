"""Judges a measurement: LoadGen's logs, MLPerf's rules, the verdict, comparability."""
