"""The queue plugins of the job server, imported as ``gearman.queues.NAME``."""
