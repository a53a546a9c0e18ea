"""INT8: the model file, folding, rounding, and the fit of both to calibration rows."""
