"""Used by every other room: errors, times, documents, owners, wording, locks."""
