"""How the requests that the mail provider takes are shared out."""

from datetime import timedelta

SHARE = 4
"""Of so many requests one is for work that nobody waits for, if there is any: it must not starve."""
_TURNS = 3
"""Of its turns, how many such work waits for: two take turns in a region, and the rate may fall meanwhile."""


def patience(rate: float, timeout: timedelta) -> timedelta:
    """Return how long work that nobody waits for waits for its turn, of `rate` requests a second.

    It is no less than what an answer may take: where turns follow each other
    quickly a busy machine may miss them.
    """
    return max(timeout, timedelta(seconds=_TURNS * SHARE / rate))
