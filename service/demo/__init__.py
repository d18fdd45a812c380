"""`python -m service demo`: the life of a domain in under a minute, on loopback.

`stage` starts what the story needs, `dns_server` is its DNS, `story` tells it.
"""

from service.demo.story import tell

__all__ = ["tell"]
