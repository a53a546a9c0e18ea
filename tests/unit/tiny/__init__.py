"""A small container image that behaves like dlrm-bench, made from files of this machine."""
