"""The options of queue plugins and of protocols, as rows of the table of options."""

from argparse import SUPPRESS
from collections.abc import Callable, Iterable
from typing import Any, Final

from ...queue import Option
from ..protocols.interface import Service
from .options import Row, flag, row
from .values import one_of, path, port, whole_number

# Options of gearmand's queue types that this server does not have, with their number of
# values.
QUEUE_OPTIONS: Final = {
    "libtokyocabinet": {"file": 1, "optimize": 0},
}


def option_rows(options: Iterable[Option]) -> list[Row]:
    """Return the rows of a plugin's options."""
    return [row for option in options for row in _rows_of(option)]


def protocol_rows(name: str, service: type[Service]) -> list[Row]:
    """Return the rows of a protocol: its port and its options."""
    port_row = row(
        f"--{name}-port",
        metavar="PORT",
        type=port,
        help=f"port of the protocol {name} on each address (default: {service.port})",
    )
    return [port_row, *option_rows(service.options)]


def _rows_of(option: Option) -> list[Row]:
    settings: dict[str, Any] = {"dest": option.key}
    if option.kind == "flag":
        settings |= {"action": "store_true"}
    else:
        settings |= {"metavar": _metavar(option), "type": _reader(option.kind)}
    shown, *aliases = (f"--{name}" for name in option.names)
    hidden = settings | {"help": SUPPRESS}
    return [
        row(shown, **settings, help=option.help),
        *(row(alias, **hidden) for alias in aliases),
    ]


def _metavar(option: Option) -> str:
    if isinstance(option.kind, tuple):
        return f"{{{','.join(option.kind)}}}"
    return option.metavar or "TEXT"


def _reader(kind: str | tuple[str, ...]) -> Callable[[str], Any]:
    if isinstance(kind, tuple):
        return one_of(kind)
    return {"path": path, "number": whole_number(0, 2**63 - 1)}.get(kind, str)


def _hidden_rows() -> tuple[Row, ...]:
    rows = [flag("--store-queue-on-shutdown", help=SUPPRESS)]
    for queue, options in QUEUE_OPTIONS.items():
        for name, values in options.items():
            option = row if values else flag
            rows.append(option(f"--{queue}-{name}", help=SUPPRESS))
    return tuple(rows)


HIDDEN: Final = _hidden_rows()
