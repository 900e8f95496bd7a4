"""The parts of the blocking client, worker and admin client."""
