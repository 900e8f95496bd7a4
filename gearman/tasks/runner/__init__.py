"""The runner of workers, `gearman-worker`: processes that run the tasks of an app."""
