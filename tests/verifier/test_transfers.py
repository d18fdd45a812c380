"""Whole stories of names that two tenants claim: same records for both, as the provider gives them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from service.core import ownership
from service.core.answers import Outcome
from service.core.domain import Domain, EventType, Status, StatusReason
from service.core.records import Record, RecordState
from service.store.sql import SqlStore
from service.verifier import Verifier
from tests.support.checking import check_in_background
from tests.support.clock import HandClock
from tests.support.waiting import until
from tests.verifier.conftest import NAME, POLICY, HandDns, HandProvider

LEASE = timedelta(seconds=60)


@dataclass
class Tenants:
    """The tenants acme, which came first, and rival, and what they can do."""

    store: SqlStore
    verifier: Verifier
    dns: HandDns
    clock: HandClock

    def sweep(self, tenant: str, **later: float) -> Domain:
        """Check a domain as the background does, after some time has gone by."""
        self.clock.advance(**later)
        claim = self.store.claim(tenant, NAME, self.clock.now(), LEASE)
        assert claim is not None
        (checked,) = check_in_background(self.verifier, [claim])
        assert checked is not None
        return checked

    def status(self, tenant: str) -> Status:
        """Return the status of a tenant's domain."""
        return self.store.get(tenant, NAME).status

    def challenge(self, tenant: str) -> Record:
        """Return the OWNERSHIP record that a tenant was given."""
        record = ownership.record_of(self.store.get(tenant, NAME))
        assert record is not None
        return record

    def reasons(self, tenant: str) -> list[str]:
        """Return the reasons of what a tenant was told, without gaps in its revisions."""
        told = self.store.read(tenant, 0, 100)
        assert [event.revision for event in told] == list(range(1, len(told) + 1))
        return [event.reason for event in told]


@pytest.fixture
def tenants(
    opened: SqlStore, verifier: Verifier, dns: HandDns, clock: HandClock, domain: Domain
) -> Iterator[Tenants]:
    """Acme is VERIFIED; rival has added the name, and published nothing."""
    dns.publish(domain.records)
    made = Tenants(opened, verifier, dns, clock)
    made.sweep("acme", seconds=5)
    opened.create_tenant("rival")
    draft = ownership.demanded(
        replace(domain, tenant="rival", generation="rivals", create_time=clock.now()), "r" * 40
    )
    opened.create(draft, actor="key:2", request=None)
    return made


def test_anothers_records_verify_nobody(tenants: Tenants) -> None:
    """All that both need alike stands there: the OWNERSHIP record does not."""
    for _ in range(5):
        checked = tenants.sweep("rival", hours=1)
        assert checked.status is Status.PENDING
        states = [record.finding.state for record in checked.records]
        assert states == [RecordState.FOUND] * 6 + [RecordState.MISSING]
    assert tenants.reasons("acme") == ["", "RECORDS_FOUND"]
    assert ownership.record_of(tenants.store.get("acme", NAME)) is None


def test_a_name_is_lost(tenants: Tenants) -> None:
    """Rival proves it, acme does nothing: after 72 hours it changes hands, and not before."""
    tenants.dns.add(tenants.challenge("rival"))
    tenants.sweep("rival", seconds=10)
    # The holder sends on, whatever its own checks see.
    assert tenants.sweep("acme", minutes=1).status is Status.VERIFIED
    for _ in range(71):
        tenants.sweep("rival", hours=1)
        tenants.sweep("acme")
    assert (tenants.status("acme"), tenants.status("rival")) == (Status.VERIFIED, Status.PENDING)
    tenants.sweep("rival", hours=1)
    assert (tenants.status("acme"), tenants.status("rival")) == (Status.FAILED, Status.VERIFIED)
    assert tenants.store.get("acme", NAME).status_reason is StatusReason.OWNERSHIP_LOST
    assert tenants.reasons("acme")[-1] == "OWNERSHIP_LOST"
    assert [event.type for event in tenants.store.read("acme", 2, 100)] == [
        EventType.RECORDS_CHANGED,
        EventType.RECORDS_CHANGED,
        EventType.STATUS_CHANGED,
    ]


def test_a_name_is_kept(tenants: Tenants) -> None:
    """Acme publishes what it was given: it keeps the name for as long as that stands."""
    tenants.dns.add(tenants.challenge("rival"))
    tenants.sweep("rival", seconds=10)
    tenants.dns.add(tenants.challenge("acme"))
    assert tenants.sweep("acme", hours=71).transfer is None
    for _ in range(5):
        tenants.sweep("rival", hours=24)
    assert tenants.status("acme") is Status.VERIFIED
    assert sum("must be proved" in reason for reason in tenants.reasons("acme")) == 1
    tenants.dns.withdraw(tenants.challenge("acme"))
    tenants.dns.add(tenants.challenge("rival"))
    tenants.sweep("rival", hours=1)
    assert sum("must be proved" in reason for reason in tenants.reasons("acme")) == 2


def test_half_a_proof_keeps_nothing_and_takes_nothing(tenants: Tenants) -> None:
    """One of two name servers has acme's challenge: the transfer waits for the other."""
    tenants.dns.add(tenants.challenge("rival"))
    tenants.sweep("rival", seconds=10)
    mine, theirs = tenants.challenge("acme"), tenants.challenge("rival")
    tenants.dns.servers[0][ownership.question(NAME)] = (theirs.value, mine.value)
    assert tenants.sweep("acme", hours=1).transfer is not None
    tenants.sweep("rival", hours=80)
    assert tenants.status("acme") is Status.VERIFIED
    tenants.dns.servers[0][ownership.question(NAME)] = (theirs.value,)
    tenants.sweep("rival", minutes=1)
    assert tenants.status("acme") is Status.FAILED


@pytest.mark.parametrize("outage", [Outcome.TIMEOUT, Outcome.SERVER_FAILURE, Outcome.REFUSED])
def test_an_outage_at_the_deadline_decides_nothing(tenants: Tenants, outage: Outcome) -> None:
    """Both wait for what name servers say for certain."""
    tenants.dns.add(tenants.challenge("rival"))
    tenants.sweep("rival", seconds=10)
    tenants.dns.outage = outage
    for tenant in ("rival", "acme", "rival"):
        tenants.sweep(tenant, hours=36)
    assert (tenants.status("acme"), tenants.status("rival")) == (Status.VERIFIED, Status.PENDING)
    tenants.dns.outage = None
    tenants.sweep("rival", minutes=1)
    assert (tenants.status("acme"), tenants.status("rival")) == (Status.FAILED, Status.VERIFIED)


def test_a_claim_that_lapses_begins_again_from_the_start(tenants: Tenants) -> None:
    """Its challenge was gone for one check: the holder has 72 hours again."""
    tenants.dns.add(tenants.challenge("rival"))
    tenants.sweep("rival", seconds=10)
    tenants.dns.withdraw(tenants.challenge("rival"))
    tenants.sweep("rival", hours=71)
    assert tenants.reasons("acme")[-1] == "ownership need not be proved any more"
    tenants.dns.add(tenants.challenge("rival"))
    tenants.sweep("rival", hours=2)
    tenants.sweep("rival", hours=71)
    assert tenants.status("acme") is Status.VERIFIED
    tenants.sweep("rival", hours=1)
    assert tenants.status("acme") is Status.FAILED


def test_one_name_server_alone_makes_no_claim_lapse(tenants: Tenants) -> None:
    """A sample that lacks the challenge is confirmed first."""
    tenants.dns.add(tenants.challenge("rival"))
    tenants.sweep("rival", seconds=10)
    question = ownership.question(NAME)
    kept = tenants.dns.servers[0].pop(question)
    tenants.sweep("rival", hours=1)
    assert tenants.store.get("acme", NAME).transfer is not None
    tenants.dns.servers[0][question] = kept
    tenants.sweep("rival", hours=71)
    assert tenants.status("acme") is Status.FAILED


def test_whoever_lost_a_name_can_win_it_back(tenants: Tenants) -> None:
    """By the challenge that it was given; nothing else brings it back."""
    tenants.dns.add(tenants.challenge("rival"))
    tenants.sweep("rival", seconds=10)
    tenants.sweep("rival", hours=72)
    assert tenants.sweep("acme", hours=6).status is Status.FAILED
    tenants.dns.withdraw(tenants.challenge("rival"))
    tenants.dns.add(tenants.challenge("acme"))
    assert tenants.sweep("acme", hours=6).status is Status.FAILED
    assert "must be proved by" in tenants.reasons("rival")[-1]
    assert tenants.sweep("acme", hours=72).status is Status.VERIFIED
    assert tenants.store.get("rival", NAME).status_reason is StatusReason.OWNERSHIP_LOST


def test_a_first_tenant_that_failed_is_asked_for_proof_once_another_has_proved(tenants: Tenants) -> None:
    """Fixing the DNS alone is not enough then, also after the other has left."""
    tenants.dns.withdraw(tenants.store.get("acme", NAME).records[0])
    for _ in range(4):
        tenants.sweep("acme", hours=25)
    assert tenants.status("acme") is Status.FAILED
    tenants.dns.publish(tenants.store.get("acme", NAME).records)
    tenants.dns.add(tenants.challenge("rival"))
    assert tenants.sweep("rival", hours=1).status is Status.VERIFIED
    tenants.store.delete("rival", NAME, actor="key:2")
    checked = tenants.sweep("acme", hours=6)
    assert (checked.status, checked.contested) == (Status.FAILED, True)
    tenants.dns.add(tenants.challenge("acme"))
    assert tenants.sweep("acme", hours=6).status is Status.VERIFIED


def test_a_provider_that_is_not_ready_takes_no_name(tenants: Tenants, provider: HandProvider) -> None:
    """A claim is proved when it could be VERIFIED."""
    tenants.dns.add(tenants.challenge("rival"))
    provider.state = provider.state.PENDING
    tenants.sweep("rival", hours=1)
    assert tenants.store.get("acme", NAME).transfer is None


def test_the_background_carries_a_transfer_to_its_end(tenants: Tenants) -> None:
    """Nobody has to ask: both are looked at when the deadline comes, if not before."""
    tenants.dns.add(tenants.challenge("rival"))
    tenants.clock.advance(seconds=10)
    tenants.verifier.start()
    transfer = until(lambda: tenants.store.get("acme", NAME).transfer)
    until(lambda: tenants.store.get("acme", NAME).checks.last_check_time == tenants.clock.now())
    assert transfer.deadline == tenants.clock.now() + POLICY.transfer
    tenants.clock.time = transfer.deadline
    until(lambda: tenants.status("rival") is Status.VERIFIED)
    assert tenants.status("acme") is Status.FAILED
    tenants.verifier.stop()
