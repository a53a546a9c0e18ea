"""The Server scenario: who is served next, by which worker."""
