"""What the runner decides: which processes there are. No I/O, no clock."""
