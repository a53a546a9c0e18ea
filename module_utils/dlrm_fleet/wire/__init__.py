"""What crosses between machines, containers and users: read by the receiver into types."""
