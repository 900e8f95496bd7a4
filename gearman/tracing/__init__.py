"""Spans of OpenTelemetry for jobs that are submitted and run: see docs/tracing.md.

    import gearman.tracing
    gearman.tracing.instrument()

Nothing of this is in use, and OpenTelemetry is not imported, before that call.
"""

from typing import TYPE_CHECKING

from .patches import Patches

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

__all__ = ["instrument", "uninstrument"]

_NAME = "gearman.tracing"
_patches = Patches()


def instrument(tracer_provider: "TracerProvider | None" = None) -> None:
    """Make spans in all clients and workers of this process, from now on.

    `tracer_provider` makes the tracer; None is OpenTelemetry's global one. Call this
    before workers connect: at that time they ask the server for the traces of jobs.
    Raises ImportError if opentelemetry-api is not installed.
    """
    try:
        from opentelemetry.trace import get_tracer
    except ImportError as error:
        raise ImportError(
            f"{_NAME} needs opentelemetry-api ({error}): install it by"
            " pip install 'gearman-py[otel]'"
        ) from error
    from .. import __version__
    from .aio_client import AioClientSpans
    from .aio_worker import AioWorkerSpans
    from .client import ClientSpans
    from .worker import WorkerSpans

    uninstrument()
    tracer = get_tracer(_NAME, __version__, tracer_provider)
    for spans in (ClientSpans, WorkerSpans, AioClientSpans, AioWorkerSpans):
        spans(tracer).apply(_patches)


def uninstrument() -> None:
    """Make no more spans."""
    _patches.undo()
