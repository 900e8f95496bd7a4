"""Shares of a limit that holds for all servers of a cluster.

One server, the home, grants the others and itself parts of the limit. Each of them
reports what it keeps of its share, and what it needs, twice in a SPAN; a grant counts
for a TERM from the time of the report. So a server without a link to the home has no
share after that, and the home may grant it to others. What a server keeps, or was
granted, counts as granted until it says that it keeps less.

A server that becomes the home grants nothing for a TERM: by then it has been told what
is kept, and the rest of what the one before has granted is over.

If there is not enough for all, each gets the same; what is left goes to those who have
waited for the longest time. For this, shares are taken away that have lasted for HOLD.
All times are in seconds of a monotonic clock.
"""

from typing import Final

SPAN: Final = 0.5
TERM: Final = 2.0
HOLD: Final = 2.0


class Holder:
    """A server, as the home knows it.

    `counted` is the larger one of what it keeps and was granted, `spent` how often it
    has used the limit lately, and `wanted` how much it needs in all. All is of the
    report TERM before the time `until`; it has more than before `since` some time.
    """

    __slots__ = ("counted", "since", "spent", "until", "wanted")

    def __init__(self) -> None:
        self.counted = 0
        self.spent = 0
        self.wanted = 0
        self.until = 0.0
        self.since = 0.0


class Shares:
    """The shares of one limit, at the home.

    A limit of what goes on at the same time has no `seconds`. Else it is for how much
    may be used in any time as long.
    """

    def __init__(self, now: float) -> None:
        self._quiet_until = now + TERM
        # The ones that have waited for the longest time come first.
        self._holders: dict[int, Holder] = {}

    def report(
        self,
        server: int,
        kept: int,
        wanted: int,
        spent: int,
        most: int,
        seconds: float,
        now: float,
    ) -> int:
        """Return the new share of a server, which may be less than what it keeps.

        It was `spent` in the last seconds, and `wanted` includes what it keeps.
        """
        self._expire(seconds, now)
        holder = self._holders.get(server)
        if holder is None:
            holder = self._holders[server] = Holder()
        holder.counted, holder.wanted, holder.spent = kept, wanted, spent
        holder.until = now + TERM
        holders = self._holders.values()
        capacity = most - sum(each.spent for each in holders)
        free = capacity - sum(each.counted for each in holders)
        target = self._targets(capacity)[server]
        # What runs goes on without a share, so all may keep more than the limit.
        share = max(min(kept, wanted, kept + free), 0)
        if target > kept and free > 0 and now >= self._quiet_until:
            share = min(target, kept + free)
            holder.since = now
            # It has got something: now others come first.
            self._holders[server] = self._holders.pop(server)
        elif target < kept and (now - holder.since >= HOLD or capacity < kept):
            share = target
        holder.counted = max(kept, share)
        return share

    def _expire(self, seconds: float, now: float) -> None:
        for server, holder in list(self._holders.items()):
            if holder.until <= now:
                # It may have used up all that it had.
                holder.spent += holder.counted if seconds else 0
                holder.counted = holder.wanted = 0
                if not holder.spent or holder.until + seconds <= now:
                    del self._holders[server]

    def _targets(self, capacity: int) -> dict[int, int]:
        """Return the fair share of each server."""
        targets = dict.fromkeys(self._holders, 0)
        left = max(capacity, 0)
        needy = {s: each.wanted for s, each in self._holders.items() if each.wanted}
        while needy and left:
            each = left // len(needy)
            modest = [server for server, wanted in needy.items() if wanted <= each]
            for server in modest:
                targets[server] = needy.pop(server)
                left -= targets[server]
            if not modest:
                more = left - each * len(needy)
                for place, server in enumerate(needy):
                    targets[server] = each + (place < more)
                break
        return targets
