"""What the sync and the asyncio client set on their channels and calls."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

DEFAULT_TIMEOUT = 15.0
"""Seconds that a call may take unless it is told otherwise."""

_SERVICE = "kraiter.domains.v1.DomainService"
# DeleteDomain is not among them: a retry of one that succeeded would say that
# there is no such domain. A stream is resumed, not retried.
_RETRIED = (
    "CreateDomain",  # its request_id makes it safe
    "GetDomain",
    "ListDomains",
    "VerifyDomain",
    "EnableDomain",
    "DisableDomain",
    "UpdateDomain",
    "ListStatusEvents",
    "ExportDnsRecords",
)
_LARGEST_RESPONSE = 64 * 1024 * 1024

OPTIONS: Sequence[tuple[str, Any]] = (
    (
        "grpc.service_config",
        json.dumps(
            {
                "loadBalancingConfig": [{"round_robin": {}}],
                "methodConfig": [
                    {
                        "name": [{"service": _SERVICE, "method": method} for method in _RETRIED],
                        "retryPolicy": {
                            "maxAttempts": 4,
                            "initialBackoff": "0.1s",
                            "maxBackoff": "2s",
                            "backoffMultiplier": 3,
                            "retryableStatusCodes": ["UNAVAILABLE"],
                        },
                    }
                ],
            }
        ),
    ),
    ("grpc.max_receive_message_length", _LARGEST_RESPONSE),
    # By default a second, which is about as long as all retries take: they would all come before it.
    ("grpc.initial_reconnect_backoff_ms", 200),
    # A watch is quiet for long: a dead connection has to be noticed all the same.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


@dataclass(frozen=True, slots=True)
class Access:
    """Where the service is, and with which key it is called."""

    target: str
    key: str
    credentials: grpc.ChannelCredentials | None
    """None for a connection without TLS."""

    @classmethod
    def of(
        cls, target: str, key: str, *, secure: bool, credentials: grpc.ChannelCredentials | None
    ) -> "Access":
        """Return the access; `secure` means TLS with the roots of the system."""
        if secure and credentials is None:
            credentials = grpc.ssl_channel_credentials()
        return cls(target, key, credentials)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call carries."""
        return (("authorization", f"Bearer {self.key}"),)
