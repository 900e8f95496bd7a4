"""Tables of the settings file: schedules and hooks."""
