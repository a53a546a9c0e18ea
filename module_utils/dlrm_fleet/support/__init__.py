"""What helps when something is wrong: the doctor, the support bundle, redaction."""
