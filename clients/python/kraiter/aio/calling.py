"""How calls are made, for asyncio."""

from typing import TypeVar

import grpc

from kraiter import errors
from kraiter.transport import Access

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class Caller:
    """See `kraiter.calling.Caller`."""

    def __init__(self, access: Access, timeout: float) -> None:
        self._access = access
        self._timeout = timeout

    async def __call__(
        self, method: "grpc.aio.UnaryUnaryMultiCallable[_Request, _Response]", request: _Request
    ) -> _Response:
        """Return the response.

        Raises:
            Error: the call failed.

        """
        try:
            return await method(request, timeout=self._timeout, metadata=self._access.metadata)
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc_error(error) from error
