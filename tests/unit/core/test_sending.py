"""Whether a domain may send now: the table of decisions, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.domain import Status
from service.core.health import Health
from service.core.sending import Decision, DecisionReason, Ruling, decide, is_on_hold
from service.core.tenants import OnCritical, TenantPolicy
from tests.support.samples import sample_domain

SUSPENDS = TenantPolicy(on_critical=OnCritical.SUSPEND, messages_per_hour=7)
ALLOWED = Ruling(Decision.ALLOW)
NOT_VERIFIED = Ruling(Decision.REJECT, DecisionReason.NOT_VERIFIED)
VERIFICATION_FAILED = Ruling(Decision.REJECT, DecisionReason.VERIFICATION_FAILED)

policies = st.builds(
    TenantPolicy, on_critical=st.sampled_from(OnCritical), messages_per_hour=st.integers(1, 10**6)
)


@pytest.mark.parametrize("policy", [TenantPolicy(), SUSPENDS], ids=["throttle", "suspend"])
@pytest.mark.parametrize(
    ("status", "health", "expected"),
    [
        (Status.VERIFIED, Health.UNSPECIFIED, ALLOWED),
        (Status.VERIFIED, Health.HEALTHY, ALLOWED),
        (Status.VERIFIED, Health.WARNING, ALLOWED),
        *((Status.PENDING, health, NOT_VERIFIED) for health in Health),
        *((Status.FAILED, health, VERIFICATION_FAILED) for health in Health),
    ],
)
def test_the_decision_on_a_domain_that_is_enabled(
    status: Status, health: Health, expected: Ruling, policy: TenantPolicy
) -> None:
    """Its status decides; health only of what is VERIFIED, and only once CRITICAL."""
    assert decide(sample_domain(status=status, health=health), policy) == expected


def test_a_critical_domain_is_throttled() -> None:
    """To the service's 100 messages an hour, or to what its tenant has."""
    critical = sample_domain(status=Status.VERIFIED, health=Health.CRITICAL)
    throttled = Ruling(Decision.THROTTLE, DecisionReason.HEALTH_CRITICAL, 100)
    assert decide(critical, TenantPolicy()) == throttled
    assert decide(critical, TenantPolicy(messages_per_hour=50)) == throttled._replace(messages_per_hour=50)


def test_a_critical_domain_of_a_tenant_that_suspends_is_held() -> None:
    """It may send nothing, and nothing that it was to send is lost."""
    critical = sample_domain(status=Status.VERIFIED, health=Health.CRITICAL)
    assert decide(critical, SUSPENDS) == Ruling(Decision.HOLD, DecisionReason.HEALTH_CRITICAL)


@given(st.sampled_from(Status), st.sampled_from(Health), policies)
def test_a_disabled_domain_is_held_in_every_status(
    status: Status, health: Health, policy: TenantPolicy
) -> None:
    """What its owner has paused is not lost, whatever else stands against it."""
    disabled = sample_domain(status=status, health=health, sending_enabled=False)
    assert decide(disabled, policy) == Ruling(Decision.HOLD, DecisionReason.DOMAIN_DISABLED)


@given(policies)
def test_a_domain_that_the_tenant_does_not_have_is_rejected(policy: TenantPolicy) -> None:
    """As one that was never created."""
    assert decide(None, policy) == Ruling(Decision.REJECT, DecisionReason.DOMAIN_NOT_FOUND)


@given(st.sampled_from(Status), st.sampled_from(Health), st.booleans(), policies)
def test_what_is_on_hold_is_what_the_decision_holds(
    status: Status, health: Health, enabled: bool, policy: TenantPolicy
) -> None:
    """And only a throttled domain has a number to keep to."""
    domain = sample_domain(status=status, health=health, sending_enabled=enabled)
    ruling = decide(domain, policy)
    assert is_on_hold(domain, policy) == (ruling.decision is Decision.HOLD)
    assert (ruling.messages_per_hour > 0) == (ruling.decision is Decision.THROTTLE)
    assert (ruling.reason is None) == (ruling.decision is Decision.ALLOW)
