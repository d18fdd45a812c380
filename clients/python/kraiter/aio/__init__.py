"""The client for asyncio: what `kraiter` has, awaited."""

from kraiter.aio.client import Client, Domains
from kraiter.aio.gate import SendGate
from kraiter.aio.sending import Sending

__all__ = ["Client", "Domains", "SendGate", "Sending"]
