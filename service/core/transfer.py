"""Transfers: what a claim does to the tenant that has its name VERIFIED.

A claim that is proved begins a transfer. From then on the holder has a
challenge of its own, and a deadline: while its challenge stands it keeps the
name, and otherwise loses it to the claim, which must still be proved then.

One check decides. It asks for the challenges of both at once, since they stand
at one place, and only what name servers said for certain counts.
"""

from dataclasses import replace

from service.core import lifecycle, ownership
from service.core.domain import Domain, Moved, Status, StatusReason, Transfer
from service.core.lifecycle import Check, Policy
from service.core.verdict import Outcome

_NO_LONGER = "ownership need not be proved any more"


def contest(claimant: Domain, holder: Domain, check: Check, policy: Policy) -> tuple[Moved, Moved | None]:
    """Return what a check of a domain makes of it and of the VERIFIED domain that holds its name.

    The second is None where nothing becomes of the holder. In none of both
    does anything tell who the other is.
    """
    theirs = _of_holder(claimant, holder, check, policy)
    after = holder if theirs is None else theirs.domain
    running = after.transfer
    deadline = running.deadline if running is not None and _is_of(running, claimant) else None
    seen = check._replace(
        held_elsewhere=after.status is Status.VERIFIED,
        transfer_deadline=deadline,
    )
    return lifecycle.after_check(claimant, seen, policy), theirs


def withdrawn(claimant: Domain, holder: Domain) -> Moved | None:
    """Return what the deletion of a claim makes of the holder; None where that is nothing."""
    return _released(holder, _NO_LONGER) if _is_of(holder.transfer, claimant) else None


def _of_holder(claimant: Domain, holder: Domain, check: Check, policy: Policy) -> Moved | None:
    running, mine = holder.transfer, _is_of(holder.transfer, claimant)
    if not (claimant.contested and lifecycle.passed(check)):
        return _released(holder, _NO_LONGER) if mine and _is_given_up(holder, check, policy) else None
    if running is not None and ownership.is_proved(holder, check.challenges):
        return _released(holder, "ownership is proved")
    # Servers that disagree about it are mostly being brought up to date.
    if ownership.is_shown(holder, check.challenges):
        return None
    if running is None:
        return _begun(claimant, holder, check, policy)
    return _lost(holder, check) if mine and check.time >= running.deadline else None


def _is_of(transfer: Transfer | None, claimant: Domain) -> bool:
    return transfer is not None and transfer.claim == claimant.generation


def _is_given_up(holder: Domain, check: Check, policy: Policy) -> bool:
    """Whether a claim that was not proved in this check has lost its transfer.

    By its records being gone, or by nobody being able to tell for too long: a
    claim that is never decided would keep out all others.
    """
    gone = check.verdict.outcome is Outcome.FAILED and check.verdict.confirmed
    return gone or (holder.transfer is not None and check.time >= holder.transfer.deadline + policy.grace)


def _begun(claimant: Domain, holder: Domain, check: Check, policy: Policy) -> Moved:
    transfer = Transfer(claim=claimant.generation, deadline=check.time + policy.transfer)
    asked = _looked_at(ownership.begun(holder, transfer, check.token), check)
    reason = f"ownership must be proved by {ownership.moment(transfer.deadline)}"
    return Moved(asked, lifecycle.records_changed(reason))


def _released(holder: Domain, reason: str) -> Moved:
    return Moved(ownership.ended(holder), lifecycle.records_changed(reason))


def _lost(holder: Domain, check: Check) -> Moved:
    failed = lifecycle.failed(holder, StatusReason.OWNERSHIP_LOST, check.time)
    asked = ownership.demanded(failed.domain, check.token)
    return Moved(_looked_at(asked, check), failed.change)


def _looked_at(holder: Domain, check: Check) -> Domain:
    """Return the holder as due at once: its records are others than those last asked for."""
    return replace(holder, checks=replace(holder.checks, next_check_time=check.time, gap=0.0))
