"""What the rules need of the world: one Protocol for each kind of I/O.

The docstrings are obligations. An adapter turns every error of its driver into
a `ServiceError` (`raise ... from`), so that no driver text reaches a client:
a database that cannot be reached is DATABASE_UNAVAILABLE, a transaction that
lost a race for good is CONCURRENT_CHANGE.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from service.core.answers import Answers, Question
from service.core.domain import Contest, Domain, Event, Health, Move, Status
from service.core.keys import Key
from service.core.records import Identity


class Clock(Protocol):
    """The time of day."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""


# --- DNS -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LookUp:
    """Questions that are answered together, within one budget of time and octets."""

    questions: Sequence[Question]
    every_server: bool
    """Whether each name server of a question's zone is asked, or one of them."""
    until: float | None = None
    """When it must be complete, by `time.monotonic`; None where the adapter's own budget is enough."""


Done = Callable[[Sequence[tuple[int, Sequence[Answers] | Exception]]], None]
"""Takes look-ups that are complete: the number of each, and the answers to its questions, in
their order. In place of answers, what went wrong where that is our fault."""


class Resolver(Protocol):
    """Looks names up. A failed look-up is a result, never an exception."""

    def start(self, look_ups: Sequence[LookUp], done: Done) -> None:
        """Begin to answer look-ups, all at the same time, and return.

        `done` gets each of them once, some together as they are complete, on a
        thread of the adapter: it must return at once. A slow look-up keeps none
        of the others waiting. Each must be complete within the adapter's time
        budget, and when it says, whatever the servers do, with unknown outcomes for what was not
        answered; `Answers.servers` says how many servers a zone has. Called by
        several threads at once.
        """


# --- mail provider ---------------------------------------------------------


class ProviderState(StrEnum):
    """Whether the mail provider lets a domain send."""

    READY = "READY"
    PENDING = "PENDING"
    REVOKED = "REVOKED"
    UNKNOWN = "UNKNOWN"
    """It could not be asked: never counts against the domain."""


@dataclass(frozen=True, slots=True)
class IdentityRef:
    """Names one identity at the provider: of a name and region, whoever asks for it."""

    name: str
    region: str


class MailProvider(Protocol):
    """The service that sends the mail, and holds an identity for each domain."""

    regions: frozenset[str]
    """Where identities can be."""

    def create_identity(self, ref: IdentityRef, mail_from: str) -> Identity:
        """Make the identity, or adopt the one there is; idempotent.

        It is the same for every tenant. From then on `mail_from` is the host
        of its envelope senders, whatever it was before; the DKIM tokens of an
        identity stay the same. `IdentityStore.reserve` comes first.
        """

    def delete_identity(self, ref: IdentityRef) -> None:
        """Delete the identity; idempotent, and no error where there is none.

        It must return, or raise, well within the lease of a `Removal`.

        Raises:
            ServiceError: it could not be deleted now.

        """

    def states(self, refs: Sequence[IdentityRef]) -> Mapping[IdentityRef, ProviderState]:
        """Return the state of every identity asked about, in bulk."""


# --- store -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFilter:
    """Which domains of a tenant are wanted. Empty collections mean all."""

    names: frozenset[str] | None = None
    """Only these names; None for every name."""
    statuses: frozenset[Status] = frozenset()
    healths: frozenset[Health] = frozenset()
    sending_enabled: bool | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class DomainPage:
    """Some domains by name, and the tenant's revision that they were read at."""

    domains: tuple[Domain, ...]
    revision: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A caller's name for a creation, so that repeating it is harmless."""

    request_id: str
    fingerprint: str
    """Digest of everything else in the request."""


class DomainStore(Protocol):
    """Domains, each changed in one transaction with the event that tells it.

    Every change takes the next revision of its tenant under the tenant's row
    lock, last in its transaction, so that revisions become visible in order.
    When a method has returned, what it did survives a crash.
    """

    def create(
        self,
        draft: Domain,
        *,
        actor: str,
        request: CreateRequest | None,
        quota: int = 0,
        reservation: str | None = None,
    ) -> Domain:
        """Add a domain, with its CREATED event, and return it with its revision.

        The name is marked as held by the tenant, for ever, for `is_foreign`.
        `reservation` is what `IdentityStore.reserve` gave for its identity,
        and ends with it; None where the provider has no part in it.

        Raises:
            ServiceError: DOMAIN_EXISTS when the tenant has the name;
                DOMAIN_QUOTA when it has `quota` domains already (0: no limit);
                CONCURRENT_CHANGE when the draft is not contested and another
                tenant has come to hold the name, or when the identity may have
                been removed since it was reserved; INVALID_FIELD for
                `request_id` when it was used with another fingerprint. With the
                same fingerprint the first answer is returned instead.

        """

    def find_created(self, tenant: str, request: CreateRequest) -> Domain | None:
        """Return the first answer to a request seen before, or None.

        Raises:
            ServiceError: INVALID_FIELD as for `create`.

        """

    def is_foreign(self, tenant: str, name: str) -> bool:
        """Whether any other tenant has the name, or has ever had it."""

    def get(self, tenant: str, name: str) -> Domain:
        """Return a domain.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND.

        """

    def find(self, tenant: str, names: Collection[str]) -> Mapping[str, Domain]:
        """Return those of a tenant's domains that exist, by name, read in one query."""

    def head(self, tenant: str) -> int:
        """Return the tenant's present revision; 0 before its first change."""

    def page(self, tenant: str, wanted: DomainFilter, *, after: str, limit: int) -> DomainPage:
        """Return at most `limit` domains with names above `after`, by name."""

    def change(self, tenant: str, name: str, move: Move) -> Domain:
        """Apply a move to a domain under its row lock, and return the result.

        `move` is pure and may be applied more than once. Where it makes a
        change, the domain's `revision` and `update_time` are set by the store
        and the event is written with it. Where it alters what has to be
        published, a check that runs is void: its lease is ended, since it has
        asked for what was to be published before.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND, and whatever `move` raises.

        """

    def delete(self, tenant: str, name: str, *, actor: str) -> int:
        """Delete a domain, with its DELETED event; return the event's revision.

        Where no tenant has a domain of its name and region any more, the
        identity becomes due to be removed. A transfer that the domain has
        begun ends, which its holder is told.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND.

        """


@dataclass(frozen=True, slots=True)
class Claim:
    """A domain taken for a check under a lease."""

    domain: Domain
    lease: str
    """Random; what `save` and `release` are recognised by."""
    held_elsewhere: bool
    """Whether another tenant has the name VERIFIED. `save` looks again."""
    proved_elsewhere: bool = False
    """Whether another tenant has ever been VERIFIED with the name by its OWNERSHIP record."""
    version: int = -1
    """What `save` knows by that the domain is as it was claimed; the store's."""


@dataclass(frozen=True, slots=True)
class CheckedMove:
    """What a check makes of a claimed domain."""

    claim: Claim
    move: Move
    contest: Contest | None = None
    """Applied in place of `move` while another tenant has the name VERIFIED."""


class CheckQueue(Protocol):
    """Domains in the order in which their DNS is due to be looked at.

    Shared by any number of processes; costs the same however many domains
    there are.
    """

    def claim_due(self, now: datetime, limit: int, lease: timedelta) -> Sequence[Claim]:
        """Take at most `limit` domains due at `now`, nobody else's, for `lease`.

        The longest due come first. A lease that was not saved or released in
        time makes its domain due again.
        """

    def claim(self, tenant: str, name: str, now: datetime, lease: timedelta) -> Claim | None:
        """Take one domain whether due or not; None while another has it.

        Raises:
            ServiceError: DOMAIN_NOT_FOUND.

        """

    def save(self, checked: Sequence[CheckedMove]) -> Sequence[Domain | None]:
        """Apply moves to claimed domains, in one transaction, and end the leases.

        Returns each domain after its move, in the order given; None where the
        domain was deleted or created anew meanwhile, where its lease was lost,
        or where another tenant became VERIFIED with the name first: such a
        domain is left as it was, to be checked again. Where only `checks`
        differs, nothing but the schedule is written.

        A contest may change the domain that holds the name, in the same
        transaction. That one loses its lease, whoever has it, and is due as
        the contest says: what was asked about it was asked of its old state.
        """

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claims back unchecked: their domains are due as they were."""

    def next_due(self) -> datetime | None:
        """Return when the first domain can be claimed, if any: a leased one at its lease's end."""

    def hasten(self, tenant: str, names: Collection[str], *, now: datetime, due: datetime) -> None:
        """Begin the fast phase of these PENDING domains again, at `now`: due at `due` at the latest.

        Domains that do not exist or are not PENDING are passed over.
        """


@dataclass(frozen=True, slots=True)
class Removal:
    """The removal of an identity, taken under a lease."""

    ref: IdentityRef
    token: str
    """Random; what `finish` and `put_off` are recognised by."""
    failures: int
    """How often it was put off."""


class IdentityStore(Protocol):
    """The identities that the provider may have though no domain needs them.

    The provider cannot take part in a transaction. So before an identity is
    made, and with the deletion of the last domain that needs it, it is noted
    down here: whoever finds a note that is due, and no domain of its name and
    region, removes the identity. Of creation and removal of one identity at
    the same time the creation is made to start again, or to wait.
    """

    def reserve(self, ref: IdentityRef, now: datetime, patience: timedelta) -> str | None:
        """Note that an identity is going to be made; return what `DomainStore.create` wants to see.

        Unless a domain is created with it, it is due for removal after
        `patience`. None while it is being removed: to be asked again.
        """

    def take_removal(self, now: datetime, lease: timedelta) -> Removal | None:
        """Take an identity that no domain needs, due at `now`, for `lease`; None where none is.

        From then on nothing that was reserved before can become a domain.
        """

    def finish(self, removal: Removal) -> None:
        """Forget an identity that was removed."""

    def put_off(self, removal: Removal, due: datetime) -> None:
        """Give an identity back that could not be removed: to be taken again at `due`."""


@dataclass(frozen=True, slots=True)
class LogBounds:
    """How far the log of a tenant reaches."""

    trimmed: int
    """Events at or below this revision are gone; 0 while none is."""
    head: int
    """Revision of the last change; 0 before the first."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The domains of a tenant as they stood at one revision."""

    revision: int
    pages: Iterator[Sequence[Domain]]


class EventLog(Protocol):
    """Every change of every tenant, in order, for as long as it is kept."""

    def bounds(self, tenants: Collection[str]) -> Mapping[str, LogBounds]:
        """Return the bounds of each tenant's log, read at one moment.

        A tenant that does not exist has the bounds 0 and 0.
        """

    def read(self, tenant: str, after: int, limit: int) -> Sequence[Event]:
        """Return at most `limit` events above `after`, in order.

        It must be gapless: an event above one that was returned by this or an
        earlier call can never appear later below it. The caller compares
        `bounds` afterwards to know that nothing was trimmed.
        """

    def newest(
        self, tenant: str, names: frozenset[str] | None, *, before: int | None, limit: int
    ) -> Sequence[Event]:
        """Return at most `limit` events below `before`, newest first."""

    def snapshot(self, tenant: str, names: frozenset[str] | None) -> AbstractContextManager[Snapshot]:
        """Open a snapshot, read in one transaction for as long as it is open.

        May be entered, iterated and left by different threads, one at a time.
        """

    def trim(self, before: datetime, limit: int) -> int:
        """Forget at most `limit` events older than `before`; return how many."""

    def has_changed(self) -> bool:
        """Whether anything may have been committed since the last call.

        A cheap poll for one reader per process; it may answer True for
        nothing, and must never answer False after a commit.
        """


class CommitHints(Protocol):
    """Tells at once which tenants' logs have grown: a hint, never relied on."""

    def wait(self, timeout: float) -> frozenset[str] | None:
        """Wait for commits of any process, for at most `timeout` seconds.

        Returns the tenants hinted at; an empty set for a timeout; None where
        anything may have changed (after a lost connection).
        """

    def wake(self) -> None:
        """End a running wait at once, for an orderly stop."""


class KeyStore(Protocol):
    """Tenants and their API keys."""

    def create_tenant(self, tenant: str) -> bool:
        """Add a tenant; False when it exists."""

    def tenants(self) -> Sequence[str]:
        """Return the ids of all tenants, in order."""

    def create_key(self, key: Key) -> None:
        """Add a key.

        Raises:
            ServiceError: INVALID_FIELD for `tenant` when it does not exist, for
                `id` when there is such a key.

        """

    def find_keys(self, ids: Collection[str]) -> Mapping[str, Key]:
        """Return those of the keys asked for that exist, revoked ones too."""

    def list_keys(self, tenant: str | None) -> Sequence[Key]:
        """Return the keys of a tenant, or of all, by creation time."""

    def revoke_key(self, key_id: str, now: datetime) -> bool:
        """Revoke a key; False when there is none. Idempotent."""


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """What tells one database from another."""

    epoch: str
    """Random; changes when the database is restored (`migrate --new-epoch`)."""
    secret: bytes
    """32 random octets, for tokens that must not be forged."""
