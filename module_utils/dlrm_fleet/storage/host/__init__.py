"""What runs on a measured host for the storage node."""
