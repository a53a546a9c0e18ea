"""Ways that a run is going to need, tried before it is started; each bounded, side by side."""
