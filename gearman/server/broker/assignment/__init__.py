"""Which job a worker gets, which one is woken, and what is done when it is lost."""
