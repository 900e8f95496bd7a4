"""Which job a worker gets, and which sleeping workers are woken for a job."""
