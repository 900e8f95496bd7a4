"""The tests; CONTRIBUTING.md says how they import each other."""
