"""The base of every stage: request, context, status, progress, files hashed while written."""
