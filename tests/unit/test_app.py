"""What the composition root refuses to start with."""

import pytest

from service import app
from service.dns import wire
from service.settings import Settings, SettingsError


def test_a_machine_without_a_resolver_is_told_which_setting_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, as for any other setting."""

    def none() -> list[str]:
        raise ValueError("the system has no DNS resolver configured")

    monkeypatch.setattr(wire, "system_nameservers", none)
    with pytest.raises(SettingsError) as refused:
        app._resolver(Settings())
    assert refused.value.lines == [
        "KRAITER_DNS_NAMESERVERS is not set, and the system has no DNS resolver configured"
    ]
