"""What a run leaves: read on the host, recorded on the storage node, summed up."""
