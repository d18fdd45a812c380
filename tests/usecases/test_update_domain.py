"""UpdateDomain and the mail provider: an identity follows what is kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.core import lifecycle
from service.core.errors import Reason, ServiceError
from service.core.keys import Scope
from service.core.records import Identity
from service.ports import IdentityRef, ProviderState
from service.store.sql import SqlStore, migrate, open_store
from service.usecases import UpdateDomain
from service.usecases.caller import Caller
from service.usecases.update_domain import DomainUpdate
from tests.support.clock import HandClock
from tests.support.samples import sample_domain

CALLER = Caller("acme", "1", frozenset(Scope))
REF = IdentityRef("example.com", "eu-west-1")


@dataclass
class NotedProvider:
    """A provider that notes its identities' hosts, and does beforehand what a test says."""

    hosts: dict[IdentityRef, str] = field(default_factory=dict)
    before: Callable[[], object] = lambda: None
    calls: int = 0
    regions: frozenset[str] = frozenset({"eu-west-1"})

    def create_identity(self, ref: IdentityRef, mail_from: str) -> Identity:
        """See `MailProvider.create_identity`."""
        self.calls += 1
        self.before()
        self.hosts[ref] = mail_from
        return Identity(("other",), "dkim.test", "feedback.test", "spf.test")

    def states(self, refs: Sequence[IdentityRef]) -> Mapping[IdentityRef, ProviderState]:
        """Never called."""
        raise AssertionError(refs)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """A new store in which acme has example.com."""
    url = f"sqlite:///{tmp_path}/updates.db"
    migrate(url)
    made = open_store(url, clock=HandClock())
    made.create_tenant("acme")
    made.create(sample_domain(), actor="key:1", request=None)
    yield made
    made.close()


@pytest.fixture
def provider() -> NotedProvider:
    """A provider that is well."""
    return NotedProvider()


@pytest.fixture
def update(store: SqlStore, provider: NotedProvider) -> UpdateDomain:
    """The use case over both."""
    return UpdateDomain(store, provider, HandClock(), lifecycle.Policy())


def moved_to(subdomain: str) -> DomainUpdate:
    """Return the request to move the envelope sender."""
    return DomainUpdate(domain="example.com", paths=["mail_from_subdomain"], mail_from_subdomain=subdomain)


def test_the_provider_learns_of_another_host(update: UpdateDomain, provider: NotedProvider) -> None:
    """Once; and what it answers changes no DKIM record."""
    after = update(CALLER, moved_to("m"))
    assert provider.hosts == {REF: "m.example.com"}
    assert provider.calls == 1
    assert {record.value for record in after.records if record.purpose == "DKIM"} == {
        f"token{number}.dkim.amazonses.com" for number in (1, 2, 3)
    }


def test_other_changes_do_not_concern_the_provider(update: UpdateDomain, provider: NotedProvider) -> None:
    """DMARC is between the owner and receivers."""
    update(CALLER, DomainUpdate(domain="example.com", paths=["dmarc_report_address"]))
    assert provider.calls == 0


def test_a_provider_that_is_away_is_told_by_the_next_request(
    update: UpdateDomain, store: SqlStore, provider: NotedProvider
) -> None:
    """The change is kept, and the same request again completes it without another event."""

    def away() -> None:
        raise ServiceError(Reason.PROVIDER_UNAVAILABLE, "away")

    provider.before = away
    with pytest.raises(ServiceError, match="away"):
        update(CALLER, moved_to("m"))
    kept = store.get("acme", "example.com")
    assert kept.mail_from == "m.example.com"
    provider.before = lambda: None
    assert update(CALLER, moved_to("m")) == kept
    assert provider.hosts == {REF: "m.example.com"}


def test_changes_that_cross_leave_the_provider_with_what_is_kept(
    update: UpdateDomain, store: SqlStore, provider: NotedProvider
) -> None:
    """Though the first of two callers reaches it last."""

    def overtaken() -> None:
        provider.before = lambda: None
        update(CALLER, moved_to("second"))

    provider.before = overtaken
    assert update(CALLER, moved_to("first")).mail_from == "first.example.com"
    assert store.get("acme", "example.com").mail_from == "second.example.com"
    assert provider.hosts == {REF: "second.example.com"}


def test_a_key_for_other_domains_changes_nothing(update: UpdateDomain, store: SqlStore) -> None:
    """It is refused before its request is looked at."""
    before = store.get("acme", "example.com")
    limited = Caller("acme", "1", frozenset(Scope), frozenset({"other.com"}))
    with pytest.raises(ServiceError) as refused:
        update(limited, DomainUpdate(domain="example.com", paths=[]))
    assert refused.value.reason is Reason.MISSING_SCOPE
    assert store.get("acme", "example.com") == before
