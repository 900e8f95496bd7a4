"""Paths that browsers, crawlers and scrapers ask for by themselves.

Nobody has meant a function by them, so a GET of one runs none, whoever offers it.
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
    """Whether a path without its first slash, and without escapes, is one of them."""
    return name in _NAMES or name.startswith(_BEGINNINGS)
