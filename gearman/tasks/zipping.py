"""The items of several iterables at once, of which some are async ones."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from typing import Any, Final

_NONE: Final = object()


async def zipped(
    sources: Sequence[Iterable[Any] | AsyncIterable[Any]],
) -> AsyncIterator[tuple[Any, ...]]:
    """Yield the items as `zip` does.

    Raises ValueError at the end of the shortest, if they are not of the same length.
    """
    iterators = [
        aiter(each) if isinstance(each, AsyncIterable) else _later(each)
        for each in sources
    ]
    while True:
        row = [await anext(each, _NONE) for each in iterators]
        ended = sum(item is _NONE for item in row)
        if ended == len(row):
            return
        if ended:
            raise ValueError("the iterables have different lengths")
        yield tuple(row)


async def _later(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
