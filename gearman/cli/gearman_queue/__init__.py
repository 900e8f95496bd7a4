"""The tool `gearman-queue`."""
