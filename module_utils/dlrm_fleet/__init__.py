"""Code that the modules of dlrm-fleet share: typed; Python 3.9, since it also runs on hosts."""
