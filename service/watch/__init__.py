"""The watch hub: the event log is read once per process and fanned out to streams.

`tail` reads the log, `feed` keeps the last events serialised, `stream` is one
subscriber's place in it, `waiting` has looked at often what a subscriber names,
`hub` owns them all.
"""

from service.watch.feed import Codec
from service.watch.hub import Hub, HubConfig
from service.watch.stream import Stream

__all__ = ["Codec", "Hub", "HubConfig", "Stream"]
