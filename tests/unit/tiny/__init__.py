"""A container image of a few files that behaves like dlrm-bench, made from this machine's own."""
