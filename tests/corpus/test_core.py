"""The corpus against the core, by a resolver without a network."""

import functools

import pytest

from service import ports
from service.core.domain import Status
from service.core.verdict import Outcome
from tests.corpus import checking
from tests.corpus.fake import FakeResolver
from tests.corpus.internet import Internet
from tests.corpus.situation import Situation, every_situation

each_situation = pytest.mark.parametrize("situation", every_situation(), ids=lambda situation: situation.name)
first_asked = pytest.mark.parametrize("first", range(2))


@functools.cache
def internet_of(situation: Situation) -> Internet:
    """Return the zones of a situation, read once for all tests."""
    return Internet(situation)


@each_situation
def test_says_what_is_wrong_and_how_to_mend_it(situation: Situation) -> None:
    """Each situation gives the state, the problem and the hint that its file wants."""
    checked = checking.check(situation, FakeResolver(internet_of(situation)), requested=True)
    assert not (wrong := checking.differences(situation, checked)), "\n".join([situation.teaches, *wrong])


@first_asked
@each_situation
def test_pending_domain_is_verified_only_where_it_passes(situation: Situation, first: int) -> None:
    """Whichever name server a background check samples, a domain moves only where all have confirmed it."""
    checked = checking.check(situation, FakeResolver(internet_of(situation), first=first), requested=False)
    passes = situation.expected.outcome is Outcome.PASSED and situation.expected.confirmed
    is_verified = passes and situation.provider is ports.ProviderState.READY
    assert checked.domain.status is (Status.VERIFIED if is_verified else Status.PENDING)


@first_asked
@each_situation
def test_verified_domain_is_broken_only_where_it_fails(situation: Situation, first: int) -> None:
    """Nothing that is unknown, and no single server, begins the grace period of a verified domain."""
    checked = checking.check(
        situation, FakeResolver(internet_of(situation), first=first), requested=False, status=Status.VERIFIED
    )
    fails = situation.expected.outcome is Outcome.FAILED and situation.expected.confirmed
    assert (checked.domain.checks.failing_since is not None) is fails
