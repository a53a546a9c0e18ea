"""Machines of a cloud: one state machine (plan, acquire, release) over providers that translate."""
