"""HTTP/1.1: submitting jobs, and asking for them."""
