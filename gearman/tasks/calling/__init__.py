"""Submitting jobs and asking for them: by the blocking client, by asyncio, in place."""
