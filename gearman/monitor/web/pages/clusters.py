"""How servers work together: clusters over a database, and relays."""

from typing import Final

from starlette.responses import Response

from ...model import clusters, relays
from ..visit import Visit

# Links on a page: those that are down are first, then the slowest.
MOST_LINKS: Final = 100


async def show(visit: Visit) -> Response:
    """Show clusters, with their servers and links."""
    await visit.service.look()
    return visit.render(
        "clusters.html",
        clusters=clusters(visit.service.fleet.servers()),
        most_links=MOST_LINKS,
    )


async def relayed(visit: Visit) -> Response:
    """Show relays."""
    await visit.service.look()
    return visit.render("relays.html", relays=relays(visit.service.fleet.servers()))
