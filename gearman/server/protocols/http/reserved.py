"""Paths that browsers, crawlers and monitoring request by themselves.

Such a request is not meant for a function, so GET of these paths never runs a job, even
if a worker has a function of that name. GET of /metrics is answered with metrics, but
not that of another spelling of it, such as //metrics.
"""

from typing import Final

_NAMES: Final = frozenset(
    {
        *(b"metrics", b"status"),
        *(b"favicon.ico", b"browserconfig.xml"),
        *(b"robots.txt", b"sitemap.xml", b"security.txt", b"ads.txt", b"app-ads.txt"),
    }
)
_BEGINNINGS: Final = (b".well-known/", b"apple-touch-icon")


def is_reserved(name: bytes) -> bool:
    """Whether a path is one of them; it is given unescaped, without the first slash."""
    return name in _NAMES or name.startswith(_BEGINNINGS)
