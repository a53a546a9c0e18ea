"""What the modules of dlrm-fleet share: pure, typed, Python 3.9; runs on controllers and hosts."""
