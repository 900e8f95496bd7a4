"""The command-line tools `gearman` and `gearadmin`."""
