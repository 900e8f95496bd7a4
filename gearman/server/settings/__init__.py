"""What the server is told: command line, files, values; and what it is as a process."""
