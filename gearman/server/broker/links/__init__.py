"""Jobs that are with other servers of a cluster, and workers and clients there."""
