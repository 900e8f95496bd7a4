"""Whether a job waits because nobody offers its function."""

import os
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

from ...errors import GearmanError
from .. import servers, tables
from ..admin import Admin

# Seconds that the server may take to tell.
_PATIENCE: Final = 1.0


def without_worker(
    address: servers.Address, functions: Collection[bytes], **settings: Any
) -> list[str]:
    """Return those of some functions that have no worker, as the server says.

    A function of which it says nothing is not among them, and none is if it doesn't
    speak the admin protocol.
    """
    rows: list[str] = []
    with suppress(GearmanError), Admin([address], _PATIENCE, **settings) as admin:
        rows = admin.ask_list("status")
    records = map(tables.STATUS.record, rows)
    absent = {record["function"] for record in records if record.get("workers") == 0}
    return [name for name in map(os.fsdecode, functions) if name in absent]
