"""The result of a run: read on the host, recorded on the storage node, summed up."""
