"""What happens to machines, in every phase of a run: fault by fault, phase by phase."""
