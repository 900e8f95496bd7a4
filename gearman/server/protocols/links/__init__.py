"""What servers of a cluster say to each other over links."""
