"""The Server scenario: which query is served next, by which worker, and at what rate."""
