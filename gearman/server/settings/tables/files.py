"""Files that a table of the settings file names."""

import os

from ....errors import ConfigurationError


def read_named(key: str, folder: str, name: str) -> bytes:
    """Return the content of the file that a key names; it may be relative to `folder`.

    Raises ConfigurationError, whose text names the key and the file.
    """
    path = os.path.join(folder, name)
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{key} {path!r} cannot be read: {reason}") from error
