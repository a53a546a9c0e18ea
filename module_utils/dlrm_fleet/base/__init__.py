"""Used by every other room: errors, documents, times, owners, wording, locks, commands, disks."""
