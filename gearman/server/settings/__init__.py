"""The server's settings: command line, files, values; and changes of its process."""
