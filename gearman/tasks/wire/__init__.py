"""How the arguments and the result of a task travel, and how they are checked."""
