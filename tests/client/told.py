"""What a gate is told of one domain, and the clock that it goes by."""

from typing import Any

import grpc
from kraiter import Decision, Unavailable
from kraiter.domains.v1.domain_pb2 import Domain, StatusEvent
from kraiter.domains.v1.domain_service_pb2 import WatchStatusResponse
from kraiter.domains.v1.sending_service_pb2 import SendDecision
from kraiter.errors import Details, Error

NAME = "mail.example.com"


class Time:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def event(
    revision: int, kind: "StatusEvent.Type.ValueType" = StatusEvent.STATUS_CHANGED, **changes: Any
) -> StatusEvent:
    """Return a change after which the domain is VERIFIED, healthy and enabled, but for `changes`."""
    state = {"status": Domain.VERIFIED, "health": Domain.HEALTHY, "sending_enabled": True} | changes
    return StatusEvent(
        revision=revision, type=kind, domain=NAME, state=Domain(domain=NAME, revision=revision, **state)
    )


def message(*events: StatusEvent, caught_up: bool = True) -> WatchStatusResponse:
    """Return a message of a stream; without events, a bookmark."""
    return WatchStatusResponse(events=events, resume_token="somewhere", caught_up=caught_up)


def answer(decision: Decision, revision: int) -> SendDecision:
    """Return what CheckSending says."""
    return SendDecision(
        decision=decision.decision,
        reason=decision.reason,
        messages_per_hour=decision.messages_per_hour,
        revision=revision,
    )


def error(kind: type[Error] = Unavailable, reason: str = "") -> Error:
    """Return how CheckSending fails."""
    return kind("away", grpc.StatusCode.UNKNOWN, Details(reason=reason, metadata={}))
