"""Calls as any client in any language makes them: generated stubs on a channel."""

import grpc
from kraiter import errors

from tests.support.server import KEY

# A server that comes back is to be found at once.
_OPTIONS = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200))

GONE = {("UNAVAILABLE", ""), ("CANCELLED", "")}
"""Outcomes of a call whose server is no longer there, or is just going.

Between the end of a server and its clients' knowing of it, gRPC's core answers
CANCELLED to what still arrives.
"""


def connect(address: str) -> grpc.Channel:
    """Return a channel without retries of its own."""
    return grpc.insecure_channel(address, (*_OPTIONS, ("grpc.enable_retries", 0)))


def metadata(key: str = KEY) -> tuple[tuple[str, str], ...]:
    """Return what a call with an API key carries."""
    return (("authorization", f"Bearer {key}"),)


def outcome(error: grpc.RpcError) -> tuple[str, str]:
    """Return code and reason of a call that failed, such as UNAVAILABLE and SHUTTING_DOWN.

    The reason is empty where the server did not say one: it could not be reached.
    """
    told = errors.from_rpc_error(error)
    return told.code.name, told.reason
