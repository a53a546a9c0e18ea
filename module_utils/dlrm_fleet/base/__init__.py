"""What every room stands on: errors, times, documents, owners, wording, locks."""
