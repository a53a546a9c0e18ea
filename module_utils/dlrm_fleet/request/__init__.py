"""The public request: variables read once, checked, typed."""
