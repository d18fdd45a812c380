"""ManageTenants: ids have a form; a policy is changed field by field, and checked as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import Reason, ServiceError, Violation, invalid_field
from service.core.health import Threshold, Thresholds
from service.core.tenants import OnCritical, TenantPolicy
from service.usecases.manage_tenants import ManageTenants, PolicyChanges
from tests.support.clock import HandClock
from tests.support.samples import NOON

DEFAULTS = Thresholds(Threshold(0.05, 0.1), Threshold(0.001, 0.005))
OWN = TenantPolicy(bounce_warning=0.04, on_critical=OnCritical.SUSPEND, messages_per_hour=50)


@dataclass
class Tenants:
    """Tenants in memory, as a `KeyStore` and a `PolicyStore` have them."""

    kept: dict[str, TenantPolicy] = field(default_factory=dict)
    times: list[datetime] = field(default_factory=list)
    """When policies were set."""

    def create_tenant(self, tenant: str) -> bool:
        """See `KeyStore.create_tenant`."""
        return self.kept.setdefault(tenant, policy := TenantPolicy()) is policy

    def tenants(self) -> Sequence[str]:
        """See `KeyStore.tenants`."""
        return sorted(self.kept)

    def policy(self, tenant: str) -> TenantPolicy:
        """See `PolicyStore.policy`."""
        try:
            return self.kept[tenant]
        except KeyError:
            raise invalid_field("tenant", "there is none") from None

    def set_policy(self, tenant: str, policy: TenantPolicy, now: datetime) -> None:
        """See `PolicyStore.set_policy`."""
        self.policy(tenant)
        self.kept[tenant] = policy
        self.times.append(now)


def managed(present: TenantPolicy) -> tuple[ManageTenants, Tenants]:
    """Return the use case over a store in which acme has this policy."""
    store = Tenants({"rival": TenantPolicy(), "acme": present})
    return ManageTenants(store, store, HandClock(), DEFAULTS), store


def problems(present: TenantPolicy, changes: PolicyChanges) -> list[Violation]:
    """Return what is wrong with changes to a policy, which must change nothing."""
    manage, store = managed(present)
    with pytest.raises(ServiceError) as refused:
        manage.set("acme", changes)
    assert refused.value.reason is Reason.INVALID_FIELD
    assert (store.kept["acme"], store.times) == (present, [])
    return list(refused.value.violations)


def test_a_tenant_is_created_once() -> None:
    """And has no policy of its own at first; the others keep theirs."""
    manage, _ = managed(OWN)
    assert manage.create("a-new-1")
    assert not manage.create("acme")
    assert manage.list() == ["a-new-1", "acme", "rival"]
    assert (manage.policy("a-new-1"), manage.policy("acme")) == (TenantPolicy(), OWN)


@pytest.mark.parametrize("tenant", ["a", "0", "a" * 63, "a-", "a--b"])
def test_ids_that_tenants_may_have(tenant: str) -> None:
    """Lower-case letters, digits and hyphens."""
    manage, _ = managed(OWN)
    assert manage.create(tenant)


@pytest.mark.parametrize("tenant", ["", "A", "-a", "a b", "a_b", "a\n", "é", "a" * 64])
def test_ids_that_tenants_may_not_have(tenant: str) -> None:
    """They are written in commands, logs and tokens."""
    manage, store = managed(OWN)
    with pytest.raises(ServiceError) as refused:
        manage.create(tenant)
    assert [wrong.field for wrong in refused.value.violations] == ["tenant"]
    assert tenant not in store.kept


def test_what_is_not_given_stays() -> None:
    """Of the tenant's own and of the defaults; and no other tenant is touched."""
    manage, store = managed(OWN)
    expected = TenantPolicy(
        bounce_warning=0.04,
        complaint_critical=0.003,
        on_critical=OnCritical.SUSPEND,
        messages_per_hour=70,
    )
    assert manage.set("acme", {"complaint_critical": 0.003, "messages_per_hour": 70}) == expected
    assert manage.policy("acme") == store.kept["acme"] == expected
    assert manage.policy("rival") == TenantPolicy()
    assert store.times == [NOON]


def test_what_a_tenant_has_of_its_own_can_be_taken_away() -> None:
    """None stands for the service's rate."""
    manage, _ = managed(OWN)
    assert manage.set("acme", {"bounce_warning": None}).bounce_warning is None


def test_no_changes_are_none() -> None:
    """What a tenant has is what it is given again."""
    manage, _ = managed(OWN)
    assert manage.set("acme", {}) == OWN


@pytest.mark.parametrize(
    ("present", "changes", "told"),
    [
        (TenantPolicy(), {"bounce_warning": 0.11}, "bounce-critical=10%, and is 11%"),
        (TenantPolicy(), {"bounce_critical": 0.04}, "bounce-critical=4%, and is 5%"),
        (TenantPolicy(), {"complaint_critical": 0.0005}, "complaint-critical=0.05%, and is 0.1%"),
        (
            TenantPolicy(complaint_critical=0.02),
            {"complaint_warning": 0.03},
            "complaint-critical=2%, and is 3%",
        ),
        (
            TenantPolicy(bounce_warning=0.2, bounce_critical=0.3),
            {"bounce_critical": None},
            "bounce-critical=10%, and is 20%",
        ),
    ],
)
def test_a_warning_comes_no_later_than_critical(
    present: TenantPolicy, changes: PolicyChanges, told: str
) -> None:
    """Whichever of both is the tenant's own, and whichever was changed."""
    (wrong,) = problems(present, changes)
    assert wrong.field == told.split("-", maxsplit=1)[0] + "-warning"
    assert wrong.description == f"must not be above {told}"


@given(
    st.floats(max_value=0) | st.floats(min_value=1, exclude_min=True) | st.just(float("nan")),
    st.sampled_from(["bounce_warning", "bounce_critical", "complaint_warning", "complaint_critical"]),
)
def test_a_rate_is_above_0_and_at_most_1(rate: float, name: str) -> None:
    """Anything else is told of its own field alone, not of the one that it is held against."""
    (wrong,) = problems(OWN, {name: rate})
    assert wrong.field == name.replace("_", "-")
    assert wrong.description.startswith("must be above 0% and at most 100%, and is ")


def test_the_bounds_of_rates_and_messages_are_allowed() -> None:
    """A warning may begin with CRITICAL, and every message bounce."""
    manage, _ = managed(TenantPolicy())
    for rate in (1.0, 1e-9):
        manage.set("acme", {"bounce_warning": rate, "bounce_critical": rate})
    for messages in (1, 1_000_000):
        assert manage.set("acme", {"messages_per_hour": messages}).messages_per_hour == messages


@pytest.mark.parametrize("messages", [0, -1, 1_000_001])
def test_a_throttled_domain_may_send_some_messages_and_not_all(messages: int) -> None:
    """A tenant that lets none through suspends."""
    told = f"must be from 1 to 1000000, and is {messages}"
    assert problems(OWN, {"messages_per_hour": messages}) == [Violation("messages-per-hour", told)]


def test_every_wrong_field_is_told() -> None:
    """Nobody has to try once for each mistake."""
    changes: PolicyChanges = {
        "bounce_warning": 0.0,
        "bounce_critical": 1.5,
        "complaint_warning": 0.01,
        "messages_per_hour": 0,
    }
    assert [wrong.field for wrong in problems(OWN, changes)] == [
        "bounce-warning",
        "bounce-critical",
        "complaint-warning",
        "messages-per-hour",
    ]


def test_a_tenant_that_does_not_exist_has_no_policy() -> None:
    """Neither to be seen nor to be set."""
    manage, store = managed(OWN)
    for call in (lambda: manage.policy("nobody"), lambda: manage.set("nobody", {})):
        with pytest.raises(ServiceError) as refused:
            call()
        assert [wrong.field for wrong in refused.value.violations] == ["tenant"]
    assert store.times == []
