"""The job server: a broker that makes the decisions, and the I/O around it."""
