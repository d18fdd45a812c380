"""UpdateDomain and the mail provider: an identity follows what is kept."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.core import lifecycle
from service.core.errors import Reason, ServiceError
from service.core.keys import Scope
from service.ports import IdentityRef
from service.store.sql import SqlStore, migrate, open_store
from service.usecases import UpdateDomain
from service.usecases.caller import Caller
from service.usecases.update_domain import DomainUpdate
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain

CALLER = Caller("acme", "1", frozenset(Scope))
REF = IdentityRef("example.com", "eu-west-1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """A new store in which acme has example.com."""
    url = f"sqlite:///{tmp_path}/updates.db"
    migrate(url)
    made = open_store(url, clock=HandClock())
    made.create_tenant("acme")
    reservation = made.reserve(REF, NOON, timedelta(minutes=1))
    made.create(sample_domain(), actor="key:1", request=None, reservation=reservation)
    due(made)
    yield made
    made.close()


@pytest.fixture
def update(store: SqlStore) -> UpdateDomain:
    """The use case over it."""
    return UpdateDomain(store, HandClock(), lifecycle.Policy())


def due(store: SqlStore) -> list[str | None]:
    """Return the envelope senders' hosts of identities that are due, which are not from then on."""
    hosts = []
    while (work := store.take_due(NOON, timedelta(minutes=1), None)) is not None:
        assert work.wanted is not None
        hosts.append(work.wanted.mail_from)
        store.finish(work, NOON, None)
    return hosts


def moved_to(subdomain: str) -> DomainUpdate:
    """Return the request to move the envelope sender."""
    return DomainUpdate(domain="example.com", paths=["mail_from_subdomain"], mail_from_subdomain=subdomain)


def test_the_provider_is_to_learn_of_another_host(update: UpdateDomain, store: SqlStore) -> None:
    """It is written with the change, so that no crash can come between."""
    assert update(CALLER, moved_to("m")).mail_from == "m.example.com"
    assert due(store) == ["m.example.com"]
    update(CALLER, moved_to("m"))
    assert due(store) == []


def test_other_changes_do_not_concern_the_provider(update: UpdateDomain, store: SqlStore) -> None:
    """DMARC is between the owner and receivers."""
    update(
        CALLER,
        DomainUpdate(domain="example.com", paths=["dmarc_report_address"], dmarc_report_address="a@b.com"),
    )
    assert due(store) == []


def test_a_key_for_other_domains_changes_nothing(update: UpdateDomain, store: SqlStore) -> None:
    """It is refused before its request is looked at."""
    before = store.get("acme", "example.com")
    limited = Caller("acme", "1", frozenset(Scope), frozenset({"other.com"}))
    with pytest.raises(ServiceError) as refused:
        update(limited, DomainUpdate(domain="example.com", paths=[]))
    assert refused.value.reason is Reason.MISSING_SCOPE
    assert store.get("acme", "example.com") == before
