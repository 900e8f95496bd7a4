"""The tool `gearadmin`."""
