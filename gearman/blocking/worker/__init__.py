"""What a blocking worker does with a job."""
