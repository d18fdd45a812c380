"""What CheckSending answers from: the standing of domains, kept for as long as it is known to be fresh."""

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from service import ports
from service.core.errors import ServiceError
from service.core.sending import Standing
from service.core.tenants import TenantPolicy

_log = structlog.get_logger(__name__)

POLL = 0.25
"""How often the heads of logs are looked at, in seconds."""
FRESH = 0.8
"""How long a look counts, in seconds. After a second a change must be known everywhere."""
_IDLE = 60.0
"""After how many seconds a tenant is forgotten that nobody asks about."""
_ABSENCE = 30.0
"""Less than the shortest time for which events are kept, in seconds."""
_MOST_EVENTS = 1_000
_MOST_DOMAINS = 100_000
_MOST_ANSWERS = 20_000
"""Of one tenant: then its memory begins anew."""
_LONGEST_QUESTION = 512
"""In octets: longer ones are answered anew, or the answers could fill the memory of the process."""

Question = tuple[str, bytes]
"""Whose question it is, where that matters, and what was asked."""


class Known(NamedTuple):
    """What is known of domains that were asked about."""

    standings: Mapping[str, Standing | None]
    """None for one that the tenant does not have."""
    policy: TenantPolicy
    revision: int
    """The tenant's: every change up to it is taken into account."""
    version: int
    """What `keep` knows by that nothing was forgotten since."""


@dataclass(slots=True)
class _Tenant:
    """The memory of one tenant. What is not in `standings` is not known."""

    head: int
    """Every change up to it is taken into account."""
    policy: TenantPolicy
    confirmed: float
    """When that was last known to be the head of the log (monotonic): no change before is missing."""
    asked: float
    standings: dict[str, Standing | None] = field(default_factory=dict)
    answers: dict[Question, bytes] = field(default_factory=dict)
    """Questions that were answered from all of this."""
    version: int = 0
    """How often something was forgotten: what was read before must not be put in afterwards."""

    def forget(self, names: Collection[str] | None) -> None:
        """Forget domains, and all answers; None stands for all domains."""
        if names is None:
            self.standings = {}
        for name in names or ():
            self.standings.pop(name, None)
        self.answers = {}
        self.version += 1


class SendingMemory(threading.Thread):
    """Remembers domains that were asked about, and forgets them as soon as they change.

    A change made in this process is forgotten by whoever made it, before its caller has the
    answer. Others are learned of from the log, within a part of a second. Where that cannot be
    looked at in time, the memory does not answer: whoever asks has to read the database.
    """

    def __init__(self, *, store: ports.DomainStore, log: ports.EventLog, policies: ports.PolicyStore) -> None:
        """Take what is remembered; nothing runs before `start`, and nothing is fresh for long."""
        super().__init__(name="sending-memory", daemon=True)
        self._store = store
        self._event_log = log
        self._policies = policies
        self._tenants: dict[str, _Tenant] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def recall(self, tenant: str, names: Sequence[str], min_revision: int) -> Known | None:
        """Return what is remembered of all the domains; None where it is not certain to be fresh.

        It never blocks: for the event loop.
        """
        memory = self._fresh(tenant)
        if memory is None or min_revision > memory.head:
            return None
        # A change is forgotten before the head moves on: nothing below is older than it says.
        version, revision, policy, standings = memory.version, memory.head, memory.policy, memory.standings
        try:
            return Known({name: standings[name] for name in names}, policy, revision, version)
        except KeyError:
            return None

    def answer(self, tenant: str, question: Question) -> bytes | None:
        """Return the answer that was kept for a question, where it would be the same again."""
        memory = self._fresh(tenant)
        return None if memory is None else memory.answers.get(question)

    def keep(self, tenant: str, question: Question, answer: bytes, known: Known) -> None:
        """Keep an answer that follows from what was recalled, for as long as that is remembered."""
        memory = self._tenants.get(tenant)
        _, octets = question
        if memory is not None and len(octets) <= _LONGEST_QUESTION:
            with self._lock:
                if memory.version == known.version:
                    if len(memory.answers) >= _MOST_ANSWERS:
                        memory.answers = {}
                    memory.answers[question] = answer

    def _fresh(self, tenant: str) -> _Tenant | None:
        memory = self._tenants.get(tenant)
        if memory is None:
            return None
        memory.asked = now = time.monotonic()
        return memory if now - memory.confirmed <= FRESH else None

    def read(self, tenant: str, names: Collection[str]) -> Known:
        """Return what the database has of domains, and remember it.

        Raises:
            ServiceError: what the store raises.

        """
        memory, policy, revision = self._look(tenant)
        version = memory.version
        found = self._store.find(tenant, names)
        standings = {name: Standing.of(found[name]) if name in found else None for name in names}
        with self._lock:
            if memory.version == version:
                if len(memory.standings) > _MOST_DOMAINS:
                    memory.standings = {}
                memory.standings |= standings
        return Known(standings, policy, revision, version)

    def forget(self, tenant: str, name: str) -> None:
        """Forget a domain that was changed."""
        memory = self._tenants.get(tenant)
        if memory is not None:
            with self._lock:
                memory.forget({name})

    def end(self) -> None:
        """Stop, and wait until it has stopped."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Follow the logs until ended. An error of the database is waited out: memory grows stale."""
        is_away = False
        while not self._ended.wait(POLL):
            try:
                self.follow()
                is_away = False
            except ServiceError as error:
                if not is_away:
                    _log.warning("sending_memory_interrupted", reason=error.reason)
                is_away = True

    def follow(self) -> None:
        """Forget what has changed since the last look, of every tenant that is asked about.

        Raises:
            ServiceError: what the store raises.

        """
        looked = time.monotonic()
        for tenant, memory in list(self._tenants.items()):
            if looked - memory.asked > _IDLE:
                del self._tenants[tenant]
        followed = dict(self._tenants)
        if not followed:
            return
        bounds = self._event_log.bounds(followed)
        policies = self._policies.policies(followed)
        for tenant, memory in followed.items():
            there = bounds[tenant]
            changed = self._changed(tenant, memory, there, looked)
            with self._lock:
                if changed is None or changed or policies[tenant] != memory.policy:
                    memory.forget(changed)
                memory.policy = policies[tenant]
                memory.head = there.head
                memory.confirmed = looked

    def _changed(
        self, tenant: str, memory: _Tenant, there: ports.LogBounds, looked: float
    ) -> Collection[str] | None:
        """Return the domains that have changed since the last look; None where it may be any."""
        if there.head == memory.head:
            return ()
        # After a long absence, what has changed first may be kept no longer.
        if looked - memory.confirmed > _ABSENCE:
            return None
        changed = self._event_log.changed(tenant, memory.head, limit=_MOST_EVENTS)
        return changed if len(changed) < _MOST_EVENTS else None

    def _look(self, tenant: str) -> tuple[_Tenant, TenantPolicy, int]:
        """Return the memory of a tenant, begun anew where there is none, its policy and its revision."""
        looked = time.monotonic()
        head = self._event_log.bounds({tenant})[tenant].head
        policy = self._policies.policies({tenant}).get(tenant, TenantPolicy())
        with self._lock:
            memory = self._tenants.get(tenant)
            if memory is None:
                memory = self._tenants[tenant] = _Tenant(head, policy, confirmed=looked, asked=looked)
            elif memory.head == head and memory.policy == policy:
                memory.confirmed = looked
        return memory, policy, head
