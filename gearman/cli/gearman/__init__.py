"""The tool `gearman`."""
