"""What the blocking client, worker and admin client are made of."""
