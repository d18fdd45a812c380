"""What the sync and the asyncio client set on their channels and calls."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

DEFAULT_TIMEOUT = 15.0
"""Seconds that a call may take unless it is told otherwise."""

_DOMAINS = "kraiter.domains.v1.DomainService"
_SENDING = "kraiter.domains.v1.SendingService"
# Deletions are not among them: a retry of one that succeeded would say that
# there is no such thing. A stream is resumed, not retried.
_RETRIED = (
    (_DOMAINS, "CreateDomain"),  # its request_id makes it safe
    (_DOMAINS, "GetDomain"),
    (_DOMAINS, "ListDomains"),
    (_DOMAINS, "VerifyDomain"),
    (_DOMAINS, "EnableDomain"),
    (_DOMAINS, "DisableDomain"),
    (_DOMAINS, "UpdateDomain"),
    (_DOMAINS, "ListStatusEvents"),
    (_DOMAINS, "ExportDnsRecords"),
    (_SENDING, "CheckSending"),
    (_SENDING, "PutDomainUse"),
    (_SENDING, "ListDomainUses"),
    (_SENDING, "ReportDeliveries"),  # its batch_id makes it safe
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
                        "name": [{"service": service, "method": method} for service, method in _RETRIED],
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
    # By default two minutes, for which a gate would stay closed when the service is back.
    ("grpc.max_reconnect_backoff_ms", 5_000),
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
