"""What every room stands on: errors, documents, times, owners, words, locks, commands, disks."""
