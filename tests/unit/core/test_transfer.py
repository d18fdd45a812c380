"""What a claim does to the tenant that has its name VERIFIED."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import lifecycle, ownership, transfer
from service.core.answers import Answer, Answers
from service.core.answers import Outcome as Seen
from service.core.domain import Domain, EventType, Moved, Status, StatusReason
from service.core.lifecycle import Check, Policy
from service.core.records import Finding, Problem, Record, RecordState
from service.core.verdict import Outcome, Verdict
from tests.support.samples import NOON, sample_domain

POLICY = Policy(transfer=timedelta(hours=48))
DEADLINE = NOON + POLICY.transfer
HOUR = timedelta(hours=1)
FOUND = Finding(RecordState.FOUND)
MISSING = Finding(RecordState.MISSING, problem=Problem.NOT_PUBLISHED, hint="Add it")
NOTHING, PUBLISHED, PARTLY, SILENT = "nothing", "published", "partly", "silent"


def claimant(**changes: object) -> Domain:
    """Return a PENDING claim to a name that another tenant has."""
    return ownership.demanded(
        sample_domain("rival", **{"verification_deadline": NOON + HOUR, **changes}), "r" * 40
    )


def holder(**changes: object) -> Domain:
    """Return a VERIFIED domain that was never asked to prove anything."""
    return replace(sample_domain(verification_deadline=None), status=Status.VERIFIED, **changes)


def challenges(*shown: Domain, servers: int = 2, on: int | None = None) -> Answers:
    """Return what name servers have of challenges: those of these domains, on some or all of them."""
    values = tuple(record.value for each in shown if (record := ownership.record_of(each)))
    question = ownership.question("example.com")
    answers = [
        Answer(question, Seen.FOUND, values, authoritative=True)
        if number < (servers if on is None else on)
        else Answer(question, Seen.NXDOMAIN, authoritative=True)
        for number in range(servers)
    ]
    return Answers(question, tuple(answers), servers)


def looked(
    at: datetime, seen: Answers | None, domain: Domain, outcome: Outcome = Outcome.PASSED, **changes: object
) -> Check:
    """Return a check of a domain."""
    records = tuple(
        replace(record, finding=FOUND if outcome is Outcome.PASSED else MISSING) for record in domain.records
    )
    verdict = Verdict(
        records=records,
        outcome=outcome,
        confirmed=outcome is not Outcome.UNDECIDED,
        unknown=outcome is Outcome.UNDECIDED,
    )
    check = Check(
        verdict=verdict,
        time=at,
        provider_ready=True,
        provider_revoked=False,
        challenges=seen,
        token="h" * 40,
    )
    return check._replace(**changes)


@dataclass
class Story:
    """A claim and a holder, and what is told of either."""

    claim: Domain = field(default_factory=claimant)
    holder: Domain = field(default_factory=holder)
    told: list[str] = field(default_factory=list)

    def claim_checked(
        self, at: datetime, seen: Answers, outcome: Outcome = Outcome.PASSED, **changes: object
    ) -> None:
        """Have the claim checked while the other holds the name."""
        mine, theirs = transfer.contest(
            self.claim, self.holder, looked(at, seen, self.claim, outcome, **changes), POLICY
        )
        self.claim = mine.domain
        if theirs is not None:
            self._hold(theirs)

    def holder_checked(
        self, at: datetime, seen: Answers, outcome: Outcome = Outcome.PASSED, **changes: object
    ) -> None:
        """Have the holder checked."""
        self._hold(
            lifecycle.after_check(self.holder, looked(at, seen, self.holder, outcome, **changes), POLICY)
        )

    def _hold(self, moved: Moved) -> None:
        self.holder = moved.domain
        if moved.change is not None:
            self.told.append(moved.change.reason)


@pytest.fixture
def story() -> Story:
    """A claim that was proved at noon against a holder that was never asked."""
    made = Story()
    made.claim_checked(NOON, challenges(made.claim))
    return made


def ownership_of(domain: Domain) -> Record:
    """Return the OWNERSHIP record that a domain has."""
    record = ownership.record_of(domain)
    assert record is not None
    return record


def test_a_proved_claim_gives_the_holder_a_challenge_and_a_deadline(story: Story) -> None:
    """Its event and its hint say until when, and nothing says for whom."""
    assert (story.claim.status, story.holder.status) == (Status.PENDING, Status.VERIFIED)
    assert story.told == ["ownership must be proved by 2026-03-03T12:00:00Z"]
    record = ownership_of(story.holder)
    assert record.value == "kraiter-verification=" + "h" * 40
    assert not record.required
    assert "without it the domain turns FAILED at 2026-03-03T12:00:00Z" in record.finding.hint
    assert not story.holder.contested
    assert story.holder.checks.next_check_time == NOON


@pytest.mark.parametrize(
    "lacking",
    [
        {"outcome": Outcome.UNDECIDED},
        {"outcome": Outcome.FAILED},
        {"provider_ready": False},
    ],
    ids=str,
)
def test_a_claim_that_is_not_proved_does_nothing(lacking: dict[str, object]) -> None:
    """The holder hears of proofs alone."""
    story = Story()
    before = story.holder
    story.claim_checked(NOON, challenges(story.claim), **lacking)
    assert story.holder is before


def test_a_holder_that_proves_nothing_loses_the_name_at_the_deadline(story: Story) -> None:
    """Not a second before; in the same move the claim is VERIFIED, and the loser has a way back."""
    seen = challenges(story.claim)
    story.claim_checked(DEADLINE - timedelta(seconds=1), seen)
    assert story.holder.status is Status.VERIFIED
    story.claim_checked(DEADLINE, seen)
    assert story.claim.status is Status.VERIFIED
    assert (story.holder.status, story.holder.status_reason) == (Status.FAILED, StatusReason.OWNERSHIP_LOST)
    assert story.told[-1] == "OWNERSHIP_LOST"
    assert story.holder.contested
    assert ownership_of(story.holder).required
    assert "turns FAILED" not in ownership_of(story.holder).finding.hint
    assert story.holder.transfer is None


def test_a_holder_that_proves_itself_keeps_the_name(story: Story) -> None:
    """For as long as its challenge stands no transfer begins again."""
    both = challenges(story.claim, story.holder)
    story.holder_checked(NOON + HOUR, both)
    assert story.told[-1].endswith("TXT _kraiter-challenge.example.com FOUND")
    assert story.holder.transfer is None
    before = story.holder
    for later in (2 * HOUR, POLICY.transfer, 10 * POLICY.transfer):
        story.claim_checked(NOON + later, both)
    assert story.holder is before


def test_the_claims_own_check_sees_the_holders_challenge(story: Story) -> None:
    """Both stand at one name: at the deadline it decides for the holder."""
    story.claim_checked(DEADLINE, challenges(story.claim, story.holder))
    assert story.claim.status is not Status.VERIFIED
    assert story.holder.status is Status.VERIFIED
    assert story.told[-1] == "ownership is proved"
    assert "turns FAILED" not in ownership_of(story.holder).finding.hint


def test_name_servers_that_disagree_about_the_holders_challenge_decide_nothing(story: Story) -> None:
    """Neither for it nor against it."""
    seen = challenges(story.claim)
    one = Answers(seen.question, (seen.by_server[0], challenges(story.claim, story.holder).by_server[0]), 2)
    before = story.holder
    story.claim_checked(DEADLINE, one)
    assert story.holder is before
    story.holder_checked(DEADLINE, one)
    assert story.holder.transfer is not None


def test_a_holder_that_withdraws_its_challenge_can_be_asked_again(story: Story) -> None:
    """With the same record, and a whole window."""
    story.holder_checked(NOON + HOUR, challenges(story.claim, story.holder))
    record = ownership_of(story.holder).value
    story.claim_checked(NOON + 10 * POLICY.transfer, challenges(story.claim))
    assert story.holder.transfer is not None
    assert story.holder.transfer.deadline == NOON + 11 * POLICY.transfer
    assert ownership_of(story.holder).value == record


def test_a_missing_challenge_breaks_no_record_before_the_deadline(story: Story) -> None:
    """The holder sends on as it did, and no check of its own fails it."""
    absent = challenges(story.claim)
    for later in (HOUR, POLICY.transfer, 2 * POLICY.transfer):
        story.holder_checked(NOON + later, absent)
    assert story.holder.status is Status.VERIFIED
    assert "RECORDS_BROKEN" not in story.told
    assert story.holder.checks.failing_since is None


def test_a_claim_whose_proof_is_gone_ends_its_transfer(story: Story) -> None:
    """The holder is told, keeps its record, and a new proof gives it a whole window again."""
    story.claim_checked(NOON + HOUR, challenges(), Outcome.FAILED)
    assert story.told[-1] == "ownership need not be proved any more"
    assert story.holder.transfer is None
    assert "turns FAILED" not in ownership_of(story.holder).finding.hint
    story.claim_checked(DEADLINE + HOUR, challenges(story.claim))
    assert story.holder.status is Status.VERIFIED
    assert story.holder.transfer is not None
    assert story.holder.transfer.deadline == DEADLINE + HOUR + POLICY.transfer


def test_an_outage_decides_no_transfer_but_does_not_hold_the_name_for_ever(story: Story) -> None:
    """A claim that cannot be looked at for the grace period after the deadline is given up."""
    story.claim_checked(DEADLINE + POLICY.grace - HOUR, challenges(), Outcome.UNDECIDED)
    assert (story.claim.status, story.holder.status) == (Status.PENDING, Status.VERIFIED)
    assert story.holder.transfer is not None
    story.claim_checked(DEADLINE + POLICY.grace, challenges(), Outcome.UNDECIDED)
    assert story.holder.transfer is None


def test_a_window_does_not_run_out_because_of_the_transfer(story: Story) -> None:
    """It does when the claim's own records are gone, and when the holder keeps the name."""
    story.claim_checked(NOON + 2 * HOUR, challenges(story.claim))
    assert story.claim.status is Status.PENDING
    kept = replace(story)
    kept.holder_checked(NOON + 3 * HOUR, challenges(kept.claim, kept.holder))
    kept.claim_checked(NOON + 4 * HOUR, challenges(kept.claim, kept.holder))
    assert kept.claim.status_reason is StatusReason.VERIFICATION_TIMED_OUT
    story.claim_checked(NOON + 3 * HOUR, challenges(), Outcome.FAILED)
    assert story.claim.status_reason is StatusReason.VERIFICATION_TIMED_OUT


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED])
def test_both_are_looked_at_when_the_deadline_comes(status: Status) -> None:
    """Whatever gap their statuses have."""
    story = Story(claim=claimant(status=status, verification_deadline=None))
    story.claim_checked(NOON, challenges(story.claim))
    near = DEADLINE - timedelta(seconds=1)
    story.claim_checked(near, challenges(story.claim))
    story.holder_checked(near, challenges(story.claim))
    assert story.claim.checks.next_check_time == story.holder.checks.next_check_time == DEADLINE


def test_a_holder_is_looked_at_often_enough_to_keep_the_name(story: Story) -> None:
    """Minutes apart at first, and at most a quarter of an hour."""
    at, gaps = NOON, []
    for _ in range(12):
        story.holder_checked(at, challenges(story.claim))
        gaps.append(story.holder.checks.next_check_time - at)
        at += gaps[-1]
    assert gaps[0] <= timedelta(minutes=2)
    assert max(gaps) == POLICY.intervals.pending_max


def test_a_second_claim_waits_for_the_first(story: Story) -> None:
    """It neither prolongs the transfer nor takes the name, also after the deadline."""
    second = Story(claim=replace(claimant(), tenant="third"), holder=story.holder)
    seen = challenges(story.claim, second.claim)
    for later in (HOUR, POLICY.transfer):
        second.claim_checked(NOON + later, seen)
    assert second.holder is story.holder
    second.claim_checked(NOON + HOUR, seen, Outcome.FAILED)
    assert second.holder is story.holder
    assert transfer.withdrawn(second.claim, story.holder) is None


def test_a_deleted_claim_ends_its_transfer(story: Story) -> None:
    """The holder is told."""
    moved = transfer.withdrawn(story.claim, story.holder)
    assert moved is not None
    assert moved.domain.transfer is None
    assert moved.change is not None
    assert moved.change.type is EventType.RECORDS_CHANGED


def test_a_holder_that_fails_for_another_reason_has_no_transfer_any_more(story: Story) -> None:
    """The name is free then."""
    story.holder_checked(NOON + HOUR, challenges(), provider_revoked=True)
    assert (story.holder.status, story.holder.transfer) == (Status.FAILED, None)


def test_who_lost_a_name_begins_a_transfer_the_other_way_round(story: Story) -> None:
    """With the challenge that it was given."""
    story.claim_checked(DEADLINE, challenges(story.claim))
    back = Story(claim=story.holder, holder=story.claim)
    back.claim_checked(DEADLINE + HOUR, challenges(back.claim, back.holder))
    assert back.holder.transfer is None
    back.claim_checked(DEADLINE + 2 * HOUR, challenges(back.claim))
    assert back.holder.transfer is not None
    back.claim_checked(DEADLINE + 2 * HOUR + POLICY.transfer, challenges(back.claim))
    assert (back.claim.status, back.holder.status) == (Status.VERIFIED, Status.FAILED)


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED])
@pytest.mark.parametrize("elsewhere", ["held_elsewhere", "proved_elsewhere"])
def test_the_first_to_have_a_name_must_prove_it_once_another_has(status: Status, elsewhere: str) -> None:
    """Its old records alone bring it back no more: it is told, and given a challenge."""
    first = sample_domain(status=status)
    moved = lifecycle.after_check(first, looked(NOON, None, first, **{elsewhere: True}), POLICY)
    assert moved.domain.status is status
    assert moved.domain.contested
    assert ownership_of(moved.domain).required
    assert moved.change is not None
    assert moved.change.type is EventType.RECORDS_CHANGED
    again = lifecycle.after_check(
        moved.domain,
        looked(NOON + HOUR, challenges(moved.domain), moved.domain, proved_elsewhere=True),
        POLICY,
    )
    assert again.domain.status is Status.VERIFIED


def test_the_first_to_have_a_name_begins_no_transfer_by_its_old_records() -> None:
    """They are what both need alike: it is given a challenge, and its holder hears nothing."""
    story = Story(claim=sample_domain(status=Status.FAILED))
    story.claim_checked(NOON, challenges())
    assert story.told == []
    assert story.claim.contested
    story.claim_checked(NOON + HOUR, challenges(story.claim))
    assert story.holder.transfer is not None


def test_a_challenge_is_proved_by_half_of_the_name_servers_and_against_none() -> None:
    """Silence is no answer, and one answer of four is not enough."""
    domain = claimant()
    question = ownership.question(domain.name)
    shown = Answer(question, Seen.FOUND, (ownership_of(domain).value,), authoritative=True)
    silent, empty = Answer(question, Seen.TIMEOUT), Answer(question, Seen.NODATA, authoritative=True)
    cases = {
        (shown, silent): (True, True),
        (shown, silent, silent, silent): (False, True),
        (shown, empty): (False, True),
        (silent, silent): (False, False),
        (empty,): (False, False),
    }
    for servers, (proved, seen) in cases.items():
        answers = Answers(question, servers, len(servers))
        assert ownership.is_proved(domain, answers) is proved
        assert ownership.is_shown(domain, answers) is seen
    assert not ownership.is_proved(domain, None)
    assert not ownership.is_shown(holder(), challenges(domain))


STEPS = st.tuples(
    st.sampled_from(["claim", "holder"]),
    st.sampled_from(list(Outcome)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 30).map(lambda hours: timedelta(hours=hours)),
)


@given(st.lists(STEPS, max_size=40))
def test_a_name_is_lost_only_to_a_proof_after_a_whole_window_without_one(
    steps: list[tuple[str, Outcome, bool, bool, timedelta]],
) -> None:
    """Whatever is seen in whatever order, and exactly one of both is VERIFIED then."""
    story = Story()
    at = NOON
    asked_since: datetime | None = None
    for who, outcome, claims, keeps, gap in steps:
        at += gap
        seen = challenges(*([story.claim] if claims else []), *([story.holder] if keeps else []))
        told = len(story.told)
        if who == "holder":
            # Only its own challenge is in question here.
            story.holder_checked(at, seen)
        else:
            story.claim_checked(at, seen, outcome if claims else Outcome.FAILED)
        if any("must be proved by" in reason for reason in story.told[told:]):
            asked_since = at
        if story.holder.status is Status.FAILED:
            assert story.claim.status is Status.VERIFIED
            assert (who, outcome, claims, keeps) == ("claim", Outcome.PASSED, True, False)
            assert asked_since is not None
            assert at - asked_since >= POLICY.transfer
            return
        assert story.claim.status is not Status.VERIFIED
