"""The job server: a broker that decides, and the shell of sockets around it."""
