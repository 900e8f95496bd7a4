"""The command-line tools `gearman`, `gearadmin` and `gearman-queue`."""
