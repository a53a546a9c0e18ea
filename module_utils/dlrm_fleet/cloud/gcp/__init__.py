"""Google Compute Engine: requests, errors, quotas."""
