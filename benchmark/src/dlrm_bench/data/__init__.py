"""The click log: days, published file names, trace of sample sizes, synthetic data, query set."""
