"""HTTP/1.1: submitting jobs, and requesting their status."""
