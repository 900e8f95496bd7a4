"""Stylesheet and scripts, below a path that changes with them."""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER: Final = Path(str(files(__package__))) / "static"


def version() -> str:
    """Return a word that is another one if any file is another one."""
    found = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


VERSION: Final = version()
# Where they are: scripts name each other relative to it.
PATH: Final = f"/static/{VERSION}"


class Assets(StaticFiles):
    """The files, which a browser may keep: another version has another path."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
