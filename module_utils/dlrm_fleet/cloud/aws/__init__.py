"""Amazon EC2: requests, errors, quotas."""
