"""What every stage stands on: request, context, status, progress, files hashed while written."""
