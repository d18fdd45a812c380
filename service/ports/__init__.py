"""What the rules need of the world: one Protocol for each kind of I/O.

The docstrings are obligations. An adapter turns every error of its driver into
a `ServiceError` (`raise ... from`), so that no driver text reaches a client:
a database that cannot be reached is DATABASE_UNAVAILABLE, a transaction that
lost a race for good is CONCURRENT_CHANGE.
"""

from service.ports.checks import CheckedMove, CheckQueue, Claim
from service.ports.clock import Clock
from service.ports.database import DatabaseIdentity
from service.ports.dns import Done, LookUp, Resolver
from service.ports.domains import CreateRequest, DomainFilter, DomainPage, DomainStore
from service.ports.events import DeadLetter, EventQueue, EventStore, LetterHead, QueuedMessage, QueueLag
from service.ports.health import DeliveryBatch, DeliveryStore, HealthStore
from service.ports.identities import IdentityStore, IdentityWork, KnownState, StatePoll, WantedIdentity
from service.ports.keys import KeyStore
from service.ports.log import CommitHints, EventLog, LogBounds, Snapshot
from service.ports.mail import (
    FoundIdentity,
    IdentityLister,
    IdentityRef,
    ListedStates,
    MailProvider,
    ProviderState,
    ProviderStates,
)
from service.ports.tenants import PolicyStore
from service.ports.uses import UseFilter, UseKey, UseStore

__all__ = [
    "CheckQueue",
    "CheckedMove",
    "Claim",
    "Clock",
    "CommitHints",
    "CreateRequest",
    "DatabaseIdentity",
    "DeadLetter",
    "DeliveryBatch",
    "DeliveryStore",
    "DomainFilter",
    "DomainPage",
    "DomainStore",
    "Done",
    "EventLog",
    "EventQueue",
    "EventStore",
    "FoundIdentity",
    "HealthStore",
    "IdentityLister",
    "IdentityRef",
    "IdentityStore",
    "IdentityWork",
    "KeyStore",
    "KnownState",
    "LetterHead",
    "ListedStates",
    "LogBounds",
    "LookUp",
    "MailProvider",
    "PolicyStore",
    "ProviderState",
    "ProviderStates",
    "QueueLag",
    "QueuedMessage",
    "Resolver",
    "Snapshot",
    "StatePoll",
    "UseFilter",
    "UseKey",
    "UseStore",
    "WantedIdentity",
]
