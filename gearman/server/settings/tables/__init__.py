"""Tables of the settings file: schedules, hooks and relays."""
