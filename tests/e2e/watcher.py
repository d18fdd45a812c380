"""A subscriber in a thread of its own, which goes on after every break and keeps all it was sent."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from kraiter.domains.v1.domain_pb2 import StatusEvent
from kraiter.domains.v1.domain_service_pb2 import WatchStatusRequest, WatchStatusResponse
from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceStub

from tests.e2e import wire
from tests.support.server import KEY
from tests.support.waiting import until

_STOP_PATIENCE = 10.0
_PAUSE = 0.05
"""Before the next stream, so that a server in trouble is not stormed."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message, and when it came (monotonic)."""

    time: float
    message: WatchStatusResponse


@dataclass(frozen=True, slots=True)
class Told:
    """A change, and when it came (monotonic)."""

    time: float
    event: StatusEvent


@dataclass(slots=True)
class Session:
    """One stream, from its opening to its end."""

    request: WatchStatusRequest
    arrivals: list[Arrival] = field(default_factory=list)
    outcome: tuple[str, str] | None = None
    """Code and reason that it ended with; None while it is open."""

    @property
    def is_open(self) -> bool:
        """Whether the server has answered, and has not ended it."""
        return bool(self.arrivals) and self.outcome is None

    @property
    def events(self) -> list[StatusEvent]:
        """What was told, in the order of arrival."""
        return [event for arrival in list(self.arrivals) for event in arrival.message.events]


class Watcher:
    """Watches until it is closed, or is refused with anything but UNAVAILABLE."""

    def __init__(self, address: str, request: WatchStatusRequest | None = None, key: str = KEY) -> None:
        """Begin to watch; by default everything from the earliest change on."""
        self._request = request or WatchStatusRequest(start=WatchStatusRequest.EARLIEST)
        self._key = key
        self._channel = wire.connect(address)
        self._closed = threading.Event()
        self._call: Any = None
        self.sessions: list[Session] = []
        """Every stream it has had."""
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    @property
    def session(self) -> Session:
        """The latest stream."""
        return self.sessions[-1] if self.sessions else Session(self._request)

    @property
    def story(self) -> list[Session]:
        """The streams that belong together: from the last one on that resumed nothing."""
        sessions = list(self.sessions)
        begun = [place for place, session in enumerate(sessions) if not session.request.resume_token]
        return sessions[begun[-1] :] if begun else sessions

    @property
    def events(self) -> list[StatusEvent]:
        """The changes told, over all streams of the story, without the initial state."""
        return [
            event for session in self.story for event in session.events if event.type != StatusEvent.SNAPSHOT
        ]

    @property
    def snapshot(self) -> list[StatusEvent]:
        """The initial state."""
        return [event for event in self.story[0].events if event.type == StatusEvent.SNAPSHOT]

    def expect(
        self, kind: "StatusEvent.Type.ValueType", domain: str, *, after: int = 0, within: float = 10.0
    ) -> Told:
        """Wait for the first change of a kind of a domain, above a revision if need be."""

        def found() -> Told | None:
            for session in self.story:
                for arrival in list(session.arrivals):
                    for event in arrival.message.events:
                        if (event.type, event.domain) == (kind, domain) and event.revision > after:
                            return Told(arrival.time, event)
            return None

        told = until(found, within=within)
        assert told is not None
        return told

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()
        self._channel.close()
        self._thread.join(_STOP_PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        stub = DomainServiceStub(self._channel)
        request = self._request
        while not self._closed.is_set():
            session = Session(request)
            self.sessions.append(session)
            session.outcome = self._follow(stub, session)
            if session.outcome[0] not in {"OK", "UNAVAILABLE"} and session.outcome not in wire.GONE:
                return
            request = _resumed(session)
            self._closed.wait(_PAUSE)

    def _follow(self, stub: DomainServiceStub, session: Session) -> tuple[str, str]:
        self._call = stub.WatchStatus(session.request, metadata=wire.metadata(self._key), wait_for_ready=True)
        try:
            for message in self._call:
                session.arrivals.append(Arrival(time.monotonic(), message))
        except grpc.RpcError as error:
            return wire.outcome(error)
        return "OK", ""


def _resumed(session: Session) -> WatchStatusRequest:
    tokens = [arrival.message.resume_token for arrival in session.arrivals]
    last = next((token for token in reversed(tokens) if token), "")
    if not last:
        return session.request
    request = WatchStatusRequest()
    request.CopyFrom(session.request)
    request.start = WatchStatusRequest.START_UNSPECIFIED
    request.resume_token = last
    return request
