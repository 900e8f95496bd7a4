"""Several servers over one database: which of them owns the jobs."""
