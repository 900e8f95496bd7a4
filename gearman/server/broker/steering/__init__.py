"""What policies and options of jobs add: attempts, limits, dead jobs, results."""
