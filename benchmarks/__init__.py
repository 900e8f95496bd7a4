"""The project's benchmark; docs/performance.md tells how to run and to read it."""
