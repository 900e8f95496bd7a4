"""Background jobs on their way to a queue plugin, and back."""
