"""Where the model lies and workers run: NUMA nodes, pages, shared memory."""
