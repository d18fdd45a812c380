"""A caller in a thread of its own that changes its domains at random and notes every answer."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import grpc
from kraiter.domains.v1.domain_service_pb2 import (
    CreateDomainRequest,
    DeleteDomainRequest,
    DisableDomainRequest,
    EnableDomainRequest,
)
from kraiter.domains.v1.domain_service_pb2_grpc import DomainServiceStub

from tests.e2e import wire

_PATIENCE = 30.0


class Kind(StrEnum):
    """What a writer does to a domain."""

    CREATE = "CREATE"
    ENABLE = "ENABLE"
    DISABLE = "DISABLE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A change that the server said was made."""

    kind: Kind
    domain: str
    revision: int
    """0 for a deletion, whose answer is empty."""


class Writer:
    """Works until it is stopped. The domains are nobody else's."""

    def __init__(self, address: str, key: str, domains: Sequence[str], seed: int) -> None:
        """Begin."""
        self.acknowledged: list[Acknowledged] = []
        self.surprises: list[str] = []
        """Answers that contradict an earlier one."""
        self._random = random.Random(seed)
        self._domains = domains
        self._metadata = wire.metadata(key)
        self._exists: dict[str, bool | None] = dict.fromkeys(domains, False)
        """What the server was last known to have; None after a call without an answer."""
        self._channel = wire.connect(address)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the call that runs."""
        self._stopping.set()
        self._thread.join(2 * _PATIENCE)
        self._channel.close()

    def _run(self) -> None:
        stub = DomainServiceStub(self._channel)
        calls: Mapping[Kind, Callable[[str], int]] = {
            Kind.CREATE: lambda name: self._call(stub.CreateDomain, CreateDomainRequest(domain=name)),
            Kind.ENABLE: lambda name: self._call(stub.EnableDomain, EnableDomainRequest(domain=name)),
            Kind.DISABLE: lambda name: self._call(stub.DisableDomain, DisableDomainRequest(domain=name)),
            Kind.DELETE: lambda name: self._call(stub.DeleteDomain, DeleteDomainRequest(domain=name)),
        }
        while not self._stopping.is_set():
            # Most changes are cheap, so that domains live for a while.
            (kind,) = self._random.choices(list(Kind), weights=(3, 3, 3, 1))
            name = self._random.choice(self._domains)
            try:
                revision = calls[kind](name)
            except grpc.RpcError as error:
                self._note_refusal(kind, name, wire.outcome(error))
            else:
                self._exists[name] = kind is not Kind.DELETE
                self.acknowledged.append(Acknowledged(kind, name, revision))

    def _call(self, method: "grpc.UnaryUnaryMultiCallable", request: object) -> int:  # type: ignore[type-arg]
        answer = method(request, metadata=self._metadata, timeout=_PATIENCE, wait_for_ready=True)
        return getattr(answer, "revision", 0)

    def _note_refusal(self, kind: Kind, name: str, outcome: tuple[str, str]) -> None:
        match outcome:
            case (_, "DOMAIN_EXISTS") if self._exists[name] is not False:
                self._exists[name] = True
            case (_, "DOMAIN_NOT_FOUND") if self._exists[name] is not True:
                self._exists[name] = False
            case _ if outcome in wire.GONE:
                # It may have been done.
                self._exists[name] = None
            case _:
                self.surprises.append(f"{kind} {name}: {outcome}, where exists was {self._exists[name]}")
