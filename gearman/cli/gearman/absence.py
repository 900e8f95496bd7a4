"""Finding out whether a job waits because no worker has its function."""

import os
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

from ...errors import GearmanError
from .. import servers, tables
from ..admin import Admin

# Seconds that the server may take to answer.
_PATIENCE: Final = 1.0


def without_worker(
    address: servers.Address, functions: Collection[bytes], **settings: Any
) -> list[str]:
    """Return the functions that have no worker, according to the server.

    Functions that its `status` does not list are left out. If the server does not speak
    the admin protocol, the result is empty.
    """
    rows: list[str] = []
    with suppress(GearmanError), Admin([address], _PATIENCE, **settings) as admin:
        rows = admin.ask_list("status")
    records = map(tables.STATUS.record, rows)
    absent = {record["function"] for record in records if record.get("workers") == 0}
    return [name for name in map(os.fsdecode, functions) if name in absent]
