"""The output of the client mode of `gearman`, the same bytes as the C tool's."""

import sys
from typing import Any, BinaryIO

from ...payload import as_bytes
from ..program import complain
from ..progress import Progress
from .call import Call, Event


class Output:
    """Writes results to standard output, and problems to standard error.

    `failures` counts the jobs that failed.
    """

    def __init__(self, progress: Progress, *, prefix: bool, verbose: bool) -> None:
        self._progress = progress
        self._prefix = prefix
        self._verbose = verbose
        self._mixed = sys.stdout.isatty()
        # Whether the cursor of the terminal is at the beginning of a line.
        self._line_is_free = True
        self.jobs = 0
        self.failures = 0

    def created(self, call: Call) -> None:
        """Show the handle of a job that was accepted."""
        if self._verbose:
            line = f"Task created: {call.job.handle}\n"
            self._write(sys.stdout.buffer, line.encode())

    def event(self, call: Call, event: Event) -> None:
        """Show an update that a worker sent."""
        if event.kind == "warning":
            self._tell(sys.stderr.buffer, call, event.value)
        elif event.kind == "data":
            self._tell(sys.stdout.buffer, call, event.value)
        else:
            self._tell(sys.stdout.buffer, call, _percentage(event.value))

    def notice(self, sentence: str) -> None:
        """Write a message that is not an error."""
        self._prepare_error()
        complain("gearman", sentence)

    def ended(self, call: Call) -> None:
        """Show the end of a job: its result, or that it failed."""
        self.jobs += 1
        if call.refused:
            self.failures += 1
            self._prepare_error()
            function = as_bytes(call.job.task).decode(errors="backslashreplace")
            text = f"the server refused a job for {function}: {call.exception}"
            complain("gearman", text)
        elif call.complete and call.result is not None:
            self._tell(sys.stdout.buffer, call, call.result)
        elif not call.accepted_in_background:
            self.failures += 1
            self._failed(call)

    def _failed(self, call: Call) -> None:
        if call.exception:
            text = bytes(call.exception).rstrip(b"\n")
            self._tell(sys.stderr.buffer, call, text + b"\n")
        self._tell(sys.stderr.buffer, call, b"Job failed\n")

    def _tell(self, stream: BinaryIO, call: Call, text: bytes) -> None:
        if self._prefix:
            text = as_bytes(call.job.task) + b": " + text
        self._write(stream, text)

    def _write(self, stream: BinaryIO, text: bytes) -> None:
        if stream is not sys.stdout.buffer:
            self._prepare_error()
        elif self._mixed:
            self._progress.hide()
        stream.write(text)
        if stream is not sys.stdout.buffer:
            stream.flush()
        if text and (self._mixed or stream is not sys.stdout.buffer):
            self._line_is_free = text.endswith(b"\n")

    def _prepare_error(self) -> None:
        """Flush standard output, so that earlier output is seen before the message."""
        sys.stdout.flush()
        self._progress.hide()

    @property
    def redraw(self) -> float | None:
        """Seconds after which to call `flush` again; None: never."""
        return self._progress.redraw

    def flush(self, position: int) -> None:
        """Flush the output, and show the progress; `position` is in bytes of input."""
        sys.stdout.flush()
        if self._line_is_free:
            self._progress.draw(position, self.jobs, self.failures)

    def close(self) -> None:
        """Erase the progress line."""
        self._progress.hide()


def _percentage(status: dict[str, Any]) -> bytes:
    whole = status["denominator"]
    part = status["numerator"] * 100 // whole if whole else 0
    return b"%d%% Complete\n" % part
