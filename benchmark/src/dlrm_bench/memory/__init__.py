"""Where a model and its workers lie: NUMA nodes, pages, shared memory."""
