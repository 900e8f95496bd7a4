"""The connections by which jobs are passed on."""
