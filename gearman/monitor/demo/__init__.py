"""Something to look at: a job server with workers and load, in own processes."""
