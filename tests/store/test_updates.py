"""Changes of what has to be published, on every database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from service.core import lifecycle
from service.core.domain import Domain, EventType, Moved
from service.core.records import DmarcPolicy, Purpose
from service.ports import CheckedMove
from service.store.sql import SqlStore
from tests.store.moves import toggled
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain

LEASE = timedelta(minutes=1)
POLICY = lifecycle.Policy()


def chosen(**choices: object) -> Callable[[Domain], Moved]:
    """Return the move that makes other choices at noon."""

    def move(domain: Domain) -> Moved:
        return lifecycle.updated(domain, **choices, actor="key:1", now=NOON, policy=POLICY)  # type: ignore[arg-type]  # fields by name

    return move


def test_changes_at_the_same_time_all_count(store: SqlStore, open_one: Callable[[], SqlStore]) -> None:
    """Whoever changes one field keeps what another process has made of the others meanwhile."""
    store.create(sample_domain(), actor="key:1", request=None)
    stores = [store, open_one()]
    moves = [
        chosen(mail_from="m.example.com"),
        chosen(dmarc_policy=DmarcPolicy.REJECT),
        chosen(dmarc_report_address="x@example.net"),
        toggled,
    ]
    with ThreadPoolExecutor(4) as pool:
        done = [
            pool.submit(stores[n % 2].change, "acme", "example.com", move) for n, move in enumerate(moves)
        ]
        assert sorted(each.result().revision for each in done) == [2, 3, 4, 5]
    after = store.get("acme", "example.com")
    assert (after.mail_from, after.dmarc_policy, after.dmarc_report_address, after.sending_enabled) == (
        "m.example.com",
        DmarcPolicy.REJECT,
        "x@example.net",
        False,
    )
    published = {record.purpose: record for record in after.records}
    assert published[Purpose.SPF].name == "m.example.com"
    assert published[Purpose.DMARC].value == "v=DMARC1; p=reject; rua=mailto:x@example.net"
    told = [event.type for event in store.read("acme", 1, 9)]
    assert told.count(EventType.RECORDS_CHANGED) == 3


def test_a_check_that_asked_for_other_records_is_void(store: SqlStore, clock: HandClock) -> None:
    """Its late result touches nothing, and the domain is due when it says, for anybody."""
    store.create(sample_domain(), actor="key:1", request=None)
    late = store.claim("acme", "example.com", NOON, LEASE)
    assert late is not None
    after = store.change("acme", "example.com", chosen(mail_from="m.example.com"))
    assert store.next_due() == after.checks.next_check_time == NOON + timedelta(seconds=5)
    assert store.save([CheckedMove(late, toggled)]) == [None]
    store.release([late])
    assert store.get("acme", "example.com") == after
    clock.time = after.checks.next_check_time
    (claim,) = store.claim_due(clock.time, 9, LEASE)
    assert claim.domain == after


def test_nothing_chosen_anew_leaves_a_check_alone(store: SqlStore) -> None:
    """The check that runs is saved."""
    store.create(sample_domain(), actor="key:1", request=None)
    running = store.claim("acme", "example.com", NOON, LEASE)
    assert running is not None
    store.change("acme", "example.com", chosen(mail_from="bounce.example.com"))
    assert store.save([CheckedMove(running, toggled)]) != [None]
