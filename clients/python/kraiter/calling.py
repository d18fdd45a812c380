"""How calls are made: with the key, within a time, and with typed errors."""

from typing import TypeVar

import grpc

from kraiter import errors
from kraiter.transport import Access

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class Caller:
    """Makes unary calls; `timeout` is how long each may take, in seconds."""

    def __init__(self, access: Access, timeout: float) -> None:
        self._access = access
        self._timeout = timeout

    def __call__(
        self, method: "grpc.UnaryUnaryMultiCallable[_Request, _Response]", request: _Request
    ) -> _Response:
        """Return the response.

        Raises:
            Error: the call failed.

        """
        try:
            return method(request, timeout=self._timeout, metadata=self._access.metadata)
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error) from error
