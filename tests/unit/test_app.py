"""What the composition root refuses to start with."""

import pytest

from service import app
from service.core.health import Threshold, Thresholds
from service.dns import wire
from service.settings import Settings, SettingsError


def test_a_machine_without_a_resolver_is_told_which_setting_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, as for any other setting."""

    def none() -> list[str]:
        raise ValueError("the system has no DNS resolver configured")

    monkeypatch.setattr(wire, "system_nameservers", none)
    with pytest.raises(SettingsError) as refused:
        app.make_resolver(app.dns_config(Settings()))
    assert refused.value.lines == [
        "KRAITER_DNS_NAMESERVERS is not set, and the system has no DNS resolver configured"
    ]


def test_the_thresholds_of_health_are_those_of_the_settings() -> None:
    """Each in its place; and what core takes for granted is the settings' default."""
    assert app.health_policy(Settings()).thresholds == Thresholds()
    chosen = Settings(
        bounce_warning=0.01, bounce_critical=0.02, complaint_warning=0.003, complaint_critical=0.004
    )
    assert app.health_policy(chosen).thresholds == Thresholds(Threshold(0.01, 0.02), Threshold(0.003, 0.004))
