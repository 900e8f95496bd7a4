"""What several queue plugins are made of."""
