"""The tests; see CONTRIBUTING.md for how they import one another."""
