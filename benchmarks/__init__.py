"""The project's benchmarks; docs/performance.md says how to run and read them."""
