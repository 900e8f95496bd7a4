"""What the SQL functions do. Errors of theirs are errors in SQL."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from ...aio import Admin, Client, Data, Job, Warned
from ...errors import GearmanError, JobFailed, ServerUnavailable
from . import session
from .plpy import Plpy
from .settings import Settings, addresses, read

# Codes of errors in SQL.
_FAILED: Final = "38000"
_UNAVAILABLE: Final = "08001"
_TOO_LONG: Final = "57014"
_WRONG: Final = "22023"
_NO_TEXT: Final = "22021"

_SET: Final = "SELECT pg_catalog.set_config('gman.servers', $1, false)"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a SQL function: its name, and the `plpy` of its body."""

    plpy: Plpy
    name: str

    def warn(self, text: str) -> None:
        self.plpy.warning(f"{self.name}: {text}")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors into those of SQL."""
        fail: Callable[..., Any] = self.plpy.error
        try:
            yield
        except JobFailed as error:
            fail(f"{self.name}: the job failed{_reason(error)}", sqlstate=_FAILED)
        except TimeoutError as error:
            hint = "SET gman.timeout allows more seconds."
            fail(f"{self.name}: {error}", sqlstate=_TOO_LONG, hint=hint)
        except ServerUnavailable as error:
            fail(f"{self.name}: {error}", sqlstate=_UNAVAILABLE)
        except UnicodeDecodeError:
            hint = "With a workload of type bytea, so is the result."
            text = f"{self.name}: the result is no text in UTF-8"
            fail(text, sqlstate=_NO_TEXT, hint=hint)
        except (GearmanError, ValueError) as error:
            fail(f"{self.name}: {error}", sqlstate=_WRONG)


def _reason(error: JobFailed) -> str:
    reason = error.reason or error.exception or ""
    if isinstance(reason, bytes):
        reason = reason.decode(errors="replace")
    return f": {reason:.400}" if reason else ""


# Running jobs.


def do_text(
    plpy: Plpy,
    name: str,
    priority: str,
    function: str | None,
    workload: str | None,
    unique: str | None,
) -> Any:
    """Run a job and return its result, a text; `name` is that of the SQL function.

    NULL as a workload is an empty one.
    """
    call = Call(plpy, name)
    with call.errors():
        return _do(call, function, workload or "", unique, priority).decode()


def do_bytes(
    plpy: Plpy,
    name: str,
    priority: str,
    function: str | None,
    workload: bytes | None,
    unique: str | None,
) -> Any:
    """Do as `do_text`, with bytes."""
    call = Call(plpy, name)
    with call.errors():
        return _do(call, function, workload or b"", unique, priority)


def _do(
    call: Call,
    function: str | None,
    workload: str | bytes,
    unique: str | None,
    priority: str,
) -> bytes:
    if not function:
        raise ValueError("the function has no name")
    settings = read(call.plpy)
    running = session.current(settings)
    work = _run(call, running.client, function, workload, unique, priority)
    return running.run(_limited(work, settings.timeout), call.plpy)


async def _limited(work: Coroutine[Any, Any, bytes], seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise TimeoutError(f"no result in {seconds:g} s") from None


async def _run(
    call: Call,
    client: Client,
    function: str,
    workload: str | bytes,
    unique: str | None,
    priority: str,
) -> bytes:
    job = await client.submit(
        function, workload, unique=unique, priority=priority, background=False
    )
    parts = await _updates(call, job)
    parts.append(await job.result())
    return b"".join(parts) if len(parts) > 1 else parts[0]


async def _updates(call: Call, job: Job) -> list[bytes]:
    """Show the warnings of a job until it ends; return the data that it sends."""
    parts = []
    async for update in job.updates():
        if isinstance(update, Data):
            parts.append(update.data)
        elif isinstance(update, Warned):
            call.warn(f"the job warns: {update.data.decode(errors='replace'):.400}")
    return parts


# Servers.


def set_servers(plpy: Plpy, servers: str | None) -> bool | None:
    """Have the session use these servers from now on; NULL changes nothing."""
    if servers is None:
        return None
    with Call(plpy, "gman_servers_set").errors():
        addresses(servers)
        plpy.execute(plpy.prepare(_SET, ["text"]), [servers])
    return True


def check_servers(plpy: Plpy, servers: str | None) -> int:
    """Count the servers that answer; a warning says what is wrong with another one.

    These are the servers of the session if none are given.
    """
    call = Call(plpy, "gman_servers_check")
    problems: list[str] = []
    with call.errors():
        settings = read(plpy, servers)
        running = session.current(settings)
        problems = running.run(_ping_all(settings, running.tls), plpy)
    for problem in filter(None, problems):
        call.warn(problem)
    return problems.count("")


async def _ping_all(settings: Settings, tls: ssl.SSLContext | None) -> list[str]:
    return await asyncio.gather(
        *(_ping(server, settings.connecting, tls) for server in settings.servers)
    )


async def _ping(server: str, seconds: float, tls: ssl.SSLContext | None) -> str:
    """Return what is wrong with a server."""
    try:
        async with Admin(server, tls=tls, timeout=seconds) as admin:
            await admin.ping()
    except TimeoutError:
        return f"{server}: no answer in time"
    except GearmanError as error:
        return str(error)
    return ""
