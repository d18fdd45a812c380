"""A whole server in this process: real store, real hub, real verifier, scripted DNS."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import kraiter
import uvloop
from google.protobuf.message import Message
from kraiter import errors
from kraiter.domains.v1 import domain_pb2, domain_service_pb2, sending_service_pb2

from service import ports
from service.app import make_usecases
from service.assessor import HealthAssessor
from service.clock import SystemClock
from service.core import keys, lifecycle
from service.core.answers import Answer, Answers, Outcome, Question, RecordType
from service.core.health import HealthPolicy
from service.core.keys import Key, Scope
from service.core.tokens import TokenSealer
from service.mail import LocalMailProvider
from service.rpc import RpcConfig, RpcServer, WatchCodec
from service.sending_memory import SendingMemory
from service.settings import Settings
from service.store.sql import SqlStore, migrate, open_store
from service.usecases import UseCases
from service.verifier import Verifier, VerifierConfig
from service.watch import Hub, HubConfig

SERVICES = (
    domain_service_pb2.DESCRIPTOR.services_by_name["DomainService"],
    sending_service_pb2.DESCRIPTOR.services_by_name["SendingService"],
)
METHODS = {
    f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods
}
"""Every RPC of the contract by its path: a new one joins by itself."""


class ScriptedResolver:
    """Answers from what was published; says no to everything else."""

    def __init__(self) -> None:
        self.published: dict[Question, tuple[str, ...]] = {}
        self.is_held = threading.Event()
        self.released = threading.Event()
        self.released.set()

    def publish(self, domain: domain_pb2.Domain) -> None:
        """Publish everything that a domain's owner has to."""
        for record in domain.dns_records:
            kind = RecordType(domain_pb2.DnsRecord.Type.Name(record.type))
            value = f"{record.priority} {record.value}" if kind is RecordType.MX else record.value
            self.published[Question(record.name, kind)] = (value,)

    def start(self, look_ups: Sequence[ports.LookUp], done: ports.Done) -> None:
        """See `Resolver.start`; waits while it is held."""
        threading.Thread(target=self._finish, args=(look_ups, done), daemon=True).start()

    def _finish(self, look_ups: Sequence[ports.LookUp], done: ports.Done) -> None:
        if not self.released.is_set():
            self.is_held.set()
            self.released.wait(30)
        done([(number, self._answers(look_up.questions)) for number, look_up in enumerate(look_ups)])

    def _answers(self, questions: Sequence[Question]) -> Sequence[Answers]:
        return [Answers(question, (self._answer(question),)) for question in questions]

    def _answer(self, question: Question) -> Answer:
        values = self.published.get(question, ())
        outcome = Outcome.FOUND if values else Outcome.NXDOMAIN
        return Answer(question, outcome, values, "ns.test (192.0.2.1)", authoritative=True)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call failed."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str]
    violations: tuple[kraiter.Violation, ...]
    details: bytes


@dataclass
class Running:
    """A server that runs, and what it was put together from."""

    target: str
    store: SqlStore
    resolver: ScriptedResolver
    loop: asyncio.AbstractEventLoop
    channel: grpc.Channel
    stopping: "Future[None]"
    """Set it to have the server stop."""
    counter: list[int] = field(default_factory=lambda: [0])

    def new_tenant(self) -> str:
        """Make a tenant that no other test has."""
        self.counter[0] += 1
        name = f"tenant{self.counter[0]}"
        self.store.create_tenant(name)
        return name

    def new_key(
        self,
        tenant: str,
        scopes: frozenset[Scope] = frozenset(Scope),
        *,
        domains: frozenset[str] | None = None,
        expire_time: datetime | None = None,
    ) -> str:
        """Make a key of a tenant and return its text."""
        key_id, secret = keys.generate()
        self.store.create_key(
            Key(
                id=key_id,
                tenant=tenant,
                digest=keys.digest_of(secret),
                scopes=scopes,
                domains=domains,
                create_time=SystemClock().now(),
                expire_time=expire_time,
            )
        )
        return keys.join(key_id, secret)

    def revoke(self, key: str) -> None:
        """Revoke a key given its text."""
        parts = keys.split(key)
        assert parts is not None
        assert self.store.revoke_key(parts[0], SystemClock().now())

    def client(self, key: str) -> kraiter.Client:
        """Return a client with a key."""
        return kraiter.Client(self.target, key)

    def call(
        self, path: str, request: Message | bytes, key: str | None, *, timeout: float = 10
    ) -> bytes | Failure:
        """Call any RPC with any octets; of a stream return the first message."""
        octets = request if isinstance(request, bytes) else request.SerializeToString()
        metadata = () if key is None else (("authorization", f"Bearer {key}"),)
        try:
            if METHODS[path].server_streaming:
                stream = self.channel.unary_stream(path)(octets, timeout=timeout, metadata=metadata)
                first: bytes = next(iter(stream), b"")
                stream.cancel()
                return first
            answer: bytes = self.channel.unary_unary(path)(octets, timeout=timeout, metadata=metadata)
            return answer
        except grpc.RpcError as error:
            return failure_of(error)


def failure_of(error: grpc.RpcError) -> Failure:
    """Return what a client sees of an error."""
    call: Any = error
    known = errors.from_rpc_error(error)
    trailing = dict(call.trailing_metadata() or ())
    return Failure(
        known.code,
        known.reason,
        known.message,
        dict(known.metadata),
        known.violations,
        trailing.get("grpc-status-details-bin", b""),
    )


@contextmanager
def running(
    folder: Path,
    *,
    config: RpcConfig | None = None,
    change: Callable[[UseCases], UseCases] = lambda usecases: usecases,
    ping: Callable[[], None] | None = None,
    quota: int = 0,
    port: int = 0,
) -> Iterator[Running]:
    """Run a server on a loop of its own; `change` may replace use cases."""
    url = f"sqlite:///{folder / 'test.db'}"
    migrate(url)
    opened = open_store(url, clock=SystemClock())
    resolver = ScriptedResolver()
    ready: Future[tuple[int, asyncio.AbstractEventLoop]] = Future()
    stopping: Future[None] = Future()

    async def serve() -> None:
        clock, policy = SystemClock(), lifecycle.Policy()
        tokens = TokenSealer(epoch=opened.identity.epoch, secret=opened.identity.secret)
        provider = LocalMailProvider(opened.identity.secret)
        verifier = Verifier(
            store=opened,
            queue=opened,
            resolver=resolver,
            provider=provider,
            clock=clock,
            policy=policy,
            config=VerifierConfig(threads=0, min_interval=timedelta()),
        )
        memory = SendingMemory(store=opened, log=opened, policies=opened)
        assessor = HealthAssessor(store=opened, clock=clock, policy=HealthPolicy())
        usecases = make_usecases(
            Settings(domain_quota=quota, watch_heartbeat=timedelta(seconds=1)),
            opened,
            verifier=verifier,
            provider=provider,
            memory=memory,
        )
        hub = Hub(
            log=opened,
            hints=opened.hints,
            queue=opened,
            clock=clock,
            codec=WatchCodec(),
            tokens=tokens,
            intervals=policy.intervals,
            config=HubConfig(poll=0.01),
        )
        await hub.start()
        memory.start()
        assessor.start()
        server = RpcServer(
            usecases=change(usecases),
            hub=hub,
            keys=opened,
            clock=clock,
            ping=ping or opened.ping,
            config=config or RpcConfig(port=port),
        )
        ready.set_result((await server.start(), asyncio.get_running_loop()))
        await asyncio.wrap_future(stopping)
        await server.stop(grace=5)
        verifier.stop()
        for worker in (memory, assessor):
            await asyncio.to_thread(worker.end)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        listening, loop = ready.result(30)
        target = f"127.0.0.1:{listening}"
        with grpc.insecure_channel(target, [("grpc.max_receive_message_length", 1 << 26)]) as channel:
            yield Running(target, opened, resolver, loop, channel, stopping)
    finally:
        if not stopping.done():
            stopping.set_result(None)
        resolver.released.set()
        thread.join()
        opened.close()
