"""A service that does as a test says: the state of domains, their stream, and its faults."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from kraiter.domains.v1 import domain_pb2 as domain_pb
from kraiter.domains.v1 import domain_service_pb2 as pb
from kraiter.domains.v1 import sending_service_pb2 as sending_pb
from kraiter.domains.v1.domain_service_pb2_grpc import (
    DomainServiceServicer,
    add_DomainServiceServicer_to_server,
)
from kraiter.domains.v1.sending_service_pb2_grpc import (
    SendingServiceServicer,
    add_SendingServiceServicer_to_server,
)

Domain = domain_pb.Domain
Event = domain_pb.StatusEvent
Decision = sending_pb.SendDecision
Context = Any
"""Of a call. Its class cannot be named: it is of the stubs' types alone."""

HEARTBEAT = 0.05
_THREADS = 64
_PAGE = 2
"""Uses in a page that the caller does not size."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How calls fail."""

    code: int
    """Of `google.rpc.Code`."""
    reason: str = "SCRIPTED"


UNAVAILABLE = Fault(code_pb2.UNAVAILABLE)


@dataclass
class Script(DomainServiceServicer, SendingServiceServicer):
    """One tenant. Whatever a test sets holds from the next call, or message, on."""

    address: str = ""
    history: list[domain_pb.StatusEvent] = field(default_factory=list)
    domains: dict[str, domain_pb.Domain] = field(default_factory=dict)
    uses: dict[tuple[str, int, str], sending_pb.DomainUse] = field(default_factory=dict)
    trimmed: int = 0
    """Tokens of lower revisions are expired."""
    on_critical: sending_pb.SendDecision = field(
        default_factory=lambda: Decision(decision=Decision.THROTTLE, messages_per_hour=100)
    )
    is_silent: bool = False
    """Whether streams say nothing, while they stay open."""
    shows_snapshots: bool = True
    """Whether the initial state is ever complete."""
    resumes_late: bool = False
    """Whether streams that go on after a token send bookmarks alone: they never get to what was missed."""
    hangs: bool = False
    """Whether CheckSending does not answer."""
    answers_from: int | None = None
    """The revision that CheckSending goes by; None for the present one."""
    checked: Counter[str] = field(default_factory=Counter)
    """How often CheckSending was asked about each domain."""
    answered: dict[str, float] = field(default_factory=dict)
    """When it last was (monotonic)."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """By RPC: how its next calls fail, one after the other; the last fault stays if it is repeated."""
    requests: dict[str, list[Message]] = field(default_factory=dict)
    """By RPC: what was asked, also where it failed."""
    streams: int = 0
    """How many are open."""
    opened: int = 0
    """How many have ever told anything."""
    bookmarks: int = 0
    """How many of them all were asked for, but for those that open or close a stream."""
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _breaks: int = 0
    _break: tuple[Fault, bool] = (UNAVAILABLE, False)

    # --- what a test does ------------------------------------------------------

    def put(self, name: str, kind: "Event.Type.ValueType" = Event.CREATED, **state: object) -> int:
        """Change a domain, VERIFIED, healthy and enabled by default, and return the revision."""
        with self._changed:
            revision = len(self.history) + 1
            defaults = {"status": Domain.VERIFIED, "health": Domain.HEALTHY, "sending_enabled": True}
            domain = Domain(domain=name, revision=revision, **(defaults | state))
            self.domains[name] = domain
            self._tell(Event(revision=revision, type=kind, domain=name, state=domain))
        return revision

    def disable(self, name: str) -> int:
        """Pause a domain."""
        return self.put(name, Event.SENDING_DISABLED, sending_enabled=False)

    def delete(self, name: str) -> int:
        """Delete a domain."""
        with self._changed:
            revision = len(self.history) + 1
            last = self.domains.pop(name)
            self._tell(Event(revision=revision, type=Event.DELETED, domain=name, state=last))
        return revision

    def break_streams(self, fault: Fault = UNAVAILABLE, *, bookmarked: bool = False) -> None:
        """End every open stream, with a last bookmark or without."""
        with self._changed:
            self._breaks += 1
            self._break = (fault, bookmarked)
            self._changed.notify_all()

    def fail(self, method: str, *faults: Fault) -> None:
        """Have the next calls of an RPC fail, one for each fault."""
        self.faults[method] = list(faults)

    def fail_always(self, method: str, fault: Fault = UNAVAILABLE) -> None:
        """Have all calls of an RPC fail from now on."""
        self.faults[method] = [fault] * 1_000_000

    def recover(self) -> None:
        """Have no call fail any more."""
        self.faults.clear()

    def asked(self, method: str) -> int:
        """Return how often an RPC was called."""
        return len(self.requests.get(method, ()))

    # --- what the service does -------------------------------------------------

    def WatchStatus(self, request: pb.WatchStatusRequest, context: Context) -> Iterator[Any]:  # noqa: N802 - as all below, named by the contract
        """See the contract."""
        self._begin("WatchStatus", request, context)
        with self._changed:
            seen = self._breaks
            self.streams += 1
        try:
            yield from self._stream(request, context, seen)
        finally:
            with self._changed:
                self.streams -= 1

    def _stream(
        self, request: pb.WatchStatusRequest, context: Context, seen: int
    ) -> Iterator[pb.WatchStatusResponse]:
        if request.resume_token:
            place = int(request.resume_token)
            if place < self.trimmed:
                _abort(context, Fault(code_pb2.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED"))
            yield pb.WatchStatusResponse(resume_token=str(place))
        else:
            place, states = self._snapshot(request)
            yield pb.WatchStatusResponse(
                events=[
                    Event(type=Event.SNAPSHOT, domain=s.domain, revision=s.revision, state=s) for s in states
                ]
            )
            self._wait(lambda: self.shows_snapshots, context, seen)
            yield pb.WatchStatusResponse(resume_token=str(place), snapshot_complete=True)
        self.opened += 1
        if request.resume_token:
            while self.resumes_late and self._breaks == seen and context.is_active():
                yield pb.WatchStatusResponse(resume_token=str(place))
                with self._changed:
                    self._changed.wait(HEARTBEAT)
        while context.is_active():
            with self._changed:
                self._changed.wait_for(
                    lambda place=place: self._breaks != seen or len(self.history) > place, HEARTBEAT
                )
                if self._breaks != seen:
                    fault, is_bookmarked = self._break
                    break
                if self.is_silent:
                    continue
                news, place = self.history[place:], len(self.history)
            wanted = [event for event in news if not request.domains or event.domain in request.domains]
            yield pb.WatchStatusResponse(events=wanted, resume_token=str(place), caught_up=True)
            self.bookmarks += not wanted
        else:
            return
        if is_bookmarked:
            yield pb.WatchStatusResponse(resume_token=str(place))
        _abort(context, fault)

    def _snapshot(self, request: pb.WatchStatusRequest) -> tuple[int, list[domain_pb.Domain]]:
        with self._changed:
            states = [
                state
                for name, state in self.domains.items()
                if not request.domains or name in request.domains
            ]
            return len(self.history), states

    def _wait(self, condition: Callable[[], bool], context: Context, seen: int) -> None:
        with self._changed:
            while not condition() and self._breaks == seen and context.is_active():
                self._changed.wait(HEARTBEAT)

    def CheckSending(self, request: sending_pb.CheckSendingRequest, context: Context) -> Any:  # noqa: N802
        """See the contract."""
        with self._changed:
            self.checked.update(request.domains)
            self.answered |= dict.fromkeys(request.domains, time.monotonic())
        self._begin("CheckSending", request, context)
        with self._changed:
            while self.hangs and context.is_active():
                self._changed.wait(HEARTBEAT)
            revision = self.answers_from or len(self.history)
            return sending_pb.CheckSendingResponse(
                decisions=[self._decide(name, revision) for name in request.domains]
            )

    def _decide(self, name: str, revision: int) -> sending_pb.SendDecision:
        told = [event for event in self.history[:revision] if event.domain == name]
        answer = sending_pb.SendDecision(domain=name, revision=revision)
        if not told or told[-1].type == Event.DELETED:
            answer.decision, answer.reason = Decision.REJECT, Decision.DOMAIN_NOT_FOUND
            return answer
        state = told[-1].state
        if not state.sending_enabled:
            answer.decision, answer.reason = Decision.HOLD, Decision.DOMAIN_DISABLED
        elif state.status != Domain.VERIFIED:
            answer.decision, answer.reason = Decision.REJECT, Decision.NOT_VERIFIED
        elif state.health == Domain.CRITICAL:
            answer.MergeFrom(self.on_critical)
            answer.reason = Decision.HEALTH_CRITICAL
        else:
            answer.decision = Decision.ALLOW
        return answer

    def PutDomainUse(self, request: sending_pb.PutDomainUseRequest, context: Context) -> Any:  # noqa: N802
        """See the contract."""
        self._begin("PutDomainUse", request, context)
        use = sending_pb.DomainUse(
            domain=request.domain,
            kind=request.kind,
            use_id=request.use_id,
            state=request.state or sending_pb.DomainUse.ACTIVE,
            application=request.application,
            scheduled_time=request.scheduled_time if request.HasField("scheduled_time") else None,
            expire_time=request.expire_time if request.HasField("expire_time") else None,
        )
        with self._changed:
            if request.domain not in self.domains:
                _abort(context, Fault(code_pb2.NOT_FOUND, "DOMAIN_NOT_FOUND"))
            self.uses[use.domain, use.kind, use.use_id] = use
        return use

    def DeleteDomainUse(self, request: sending_pb.DeleteDomainUseRequest, context: Context) -> Any:  # noqa: N802
        """See the contract."""
        self._begin("DeleteDomainUse", request, context)
        with self._changed:
            if self.uses.pop((request.domain, request.kind, request.use_id), None) is None:
                _abort(context, Fault(code_pb2.NOT_FOUND, "USE_NOT_FOUND"))
        return empty_pb2.Empty()

    def ListDomainUses(self, request: sending_pb.ListDomainUsesRequest, context: Context) -> Any:  # noqa: N802
        """See the contract."""
        self._begin("ListDomainUses", request, context)
        with self._changed:
            uses = [use for key, use in sorted(self.uses.items()) if key[0] == request.domain]
        first, size = int(request.page_token or 0), request.page_size or _PAGE
        following = str(first + size) if first + size < len(uses) else ""
        return sending_pb.ListDomainUsesResponse(uses=uses[first : first + size], next_page_token=following)

    def ReportDeliveries(self, request: sending_pb.ReportDeliveriesRequest, context: Context) -> Any:  # noqa: N802
        """See the contract."""
        self._begin("ReportDeliveries", request, context)
        return sending_pb.ReportDeliveriesResponse(accepted=len(request.reports))

    def _begin(self, method: str, request: Message, context: Context) -> None:
        with self._changed:
            self.requests.setdefault(method, []).append(request)
            faults = self.faults.get(method)
            fault = faults.pop(0) if faults else None
        if fault is not None:
            _abort(context, fault)

    def _tell(self, event: domain_pb.StatusEvent) -> None:
        self.history.append(event)
        self._changed.notify_all()


@contextmanager
def serving(script: Script) -> Iterator[Script]:
    """Serve on loopback."""
    server = grpc.server(ThreadPoolExecutor(_THREADS))
    add_DomainServiceServicer_to_server(script, server)
    add_SendingServiceServicer_to_server(script, server)
    script.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield script
    finally:
        script.break_streams()
        server.stop(None).wait()


def _abort(context: Context, fault: Fault) -> NoReturn:
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=fault.reason))
    status = status_pb2.Status(code=fault.code, message="as the test says", details=[detail])
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError
