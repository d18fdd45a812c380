"""boto3's client of a region or queue: made when it is needed, and made anew where it has no credentials."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore import exceptions

_LACKING = (
    exceptions.CredentialRetrievalError,
    exceptions.LoginError,
    exceptions.NoAuthTokenError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
    exceptions.UnknownCredentialError,
    exceptions.UnknownTokenProviderError,
    OSError,  # a file or program of theirs: what happens on the network has errors of boto3's own
)
"""How it says that there are no credentials for a request."""


class NotConnectedError(Exception):
    """The request was not made: credentials, or what else boto3 needs, could not be had."""


class Connection:
    """Makes requests, for several threads. Each may have to wait for credentials as long as boto3 does."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        """Take what makes the client. It is not made yet."""
        self._connect = connect
        self._lock = threading.Lock()
        self._client: Any = None

    def ask(
        self, operation: str, parameters: Mapping[str, Any], *, until: float = math.inf
    ) -> Mapping[str, Any]:
        """Make a request by a method of the client, unless it is later than `until`, which is monotonic.

        Raises:
            NotConnectedError: it was not made. The next one begins with another client.
            TimeoutError: it was not made, since it took too long to get that far.
            BotoCoreError, ClientError: what the client raises.

        """
        client = self._connected()
        if time.monotonic() >= until:
            raise TimeoutError
        try:
            answer: Mapping[str, Any] = getattr(client, operation)(**parameters)
        except _LACKING as error:
            # boto3 looks for credentials once: this client would be without them for ever.
            self._drop(client)
            raise NotConnectedError(type(error).__name__) from error
        return answer

    def close(self) -> None:
        """Close what is open to the network."""
        with self._lock:
            if self._client is not None:
                self._client.close()

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                try:
                    self._client = self._connect()
                except Exception as error:
                    # It reads the operator's files and asks whom they name: anything may be wrong there.
                    raise NotConnectedError(type(error).__name__) from error
            return self._client

    def _drop(self, client: Any) -> None:
        with self._lock:
            if self._client is client:
                self._client = None
