"""The machine a run measures: processor, memory, software, folders, and host.json."""
