"""`KeyStore`, on every database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.core.errors import Reason, ServiceError
from service.core.keys import Key, Scope, digest_of
from service.store.sql import SqlStore
from tests.support.samples import NOON

KEY = Key(
    id="k1",
    tenant="acme",
    digest=digest_of("secret"),
    scopes=frozenset({Scope.DOMAINS_READ, Scope.SENDING_WRITE}),
    domains=frozenset({"a.com", "b.com"}),
    note="for \0 tests",
    create_time=NOON,
    expire_time=NOON + timedelta(days=1),
)


def test_tenants_are_told_apart_and_ordered(store: SqlStore) -> None:
    """A tenant is made once; ids are ordered by their octets."""
    assert store.create_tenant("Zeta")
    assert not store.create_tenant("acme")
    assert store.tenants() == ["Zeta", "acme", "rival"]


def test_a_key_is_read_back_exactly(store: SqlStore) -> None:
    """Every field survives, with limits and without."""
    unlimited = replace(KEY, id="k2", domains=None, expire_time=None, scopes=frozenset())
    store.create_key(KEY)
    store.create_key(unlimited)
    assert store.find_keys(["k1", "k2", "K1", "k\0"]) == {"k1": KEY, "k2": unlimited}
    assert store.find_keys([]) == {}


def test_keys_are_listed_by_age(store: SqlStore) -> None:
    """Those of one tenant, or all, the oldest first."""
    younger = replace(KEY, id="a", create_time=NOON + timedelta(seconds=1))
    foreign = replace(KEY, id="b", tenant="rival")
    for key in (younger, foreign, KEY):
        store.create_key(key)
    assert store.list_keys("acme") == [KEY, younger]
    assert store.list_keys(None) == [foreign, KEY, younger]
    assert store.list_keys("nobody") == []


@pytest.mark.parametrize(("field", "key"), [("tenant", replace(KEY, id="k3", tenant="nobody")), ("id", KEY)])
def test_a_key_that_cannot_be_is_refused(store: SqlStore, field: str, key: Key) -> None:
    """A key needs a tenant that exists and an id of its own."""
    store.create_key(KEY)
    with pytest.raises(ServiceError) as raised:
        store.create_key(key)
    assert raised.value.reason is Reason.INVALID_FIELD
    assert [violation.field for violation in raised.value.violations] == [field]


def test_revoking_is_final(store: SqlStore) -> None:
    """A revoked key is still found, with the time of its first revocation."""
    store.create_key(KEY)
    assert store.revoke_key("k1", NOON)
    assert store.revoke_key("k1", NOON + timedelta(hours=1))
    assert store.find_keys(["k1"])["k1"].revoke_time == NOON
    assert not store.revoke_key("none", NOON)
