"""What a measurement is worth: LoadGen's logs, MLPerf's rules, the verdict, comparability."""
