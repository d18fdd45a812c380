"""The environment's settings: read once, checked as a whole, every fault told at once."""

import difflib
import math
import os
import re
from collections.abc import Iterator

from pydantic import ValidationError

from service import setting_texts
from service.core import pacing
from service.setting_texts import variable, written
from service.settings import Settings, SettingsError

_NOT_ABOVE = (
    ("dns_timeout", "dns_budget"),
    ("dns_budget", "verifier_lease"),
    ("check_pending_interval", "check_pending_max_interval"),
    ("bounce_warning", "bounce_critical"),
    ("complaint_warning", "complaint_critical"),
)
"""Settings of which the first must not be above the second: alone each may be well."""

_FOR_TESTS = f"{setting_texts.PREFIX}TEST_"
"""Variables of the test suite, which are no settings."""

_LINKED = re.compile(
    r"KRAITER_(\w+_)?((SERVICE_HOST|SERVICE_PORT\w*|PORT_[0-9]+_(TCP|UDP)\w*)=.*|PORT=(tcp|udp)://.*)",
    re.ASCII,
)
"""What Kubernetes puts into every container about a Service named `kraiter...`: not meant for us."""


def load() -> Settings:
    """Return the settings of the environment.

    Raises:
        SettingsError: with a line for each variable that is wrong or that no setting has.

    """
    lines = list(_unknown_variables())
    try:
        settings = Settings()
    except ValidationError as error:
        # Not chained: pydantic's text quotes the values, secret ones too.
        raise SettingsError([*lines, *_bad_values(error)]) from None
    lines += _conflicts(settings)
    if lines:
        raise SettingsError(lines)
    return settings


def _unknown_variables() -> Iterator[str]:
    known = {variable(name) for name in Settings.model_fields}
    for name, value in sorted(os.environ.items()):
        # In capitals only: on another spelling people would differ from one system to the next.
        ours = name.upper().startswith(setting_texts.PREFIX) and not name.startswith(_FOR_TESTS)
        if ours and name not in known and not _LINKED.fullmatch(f"{name}={value}"):
            # Without the prefix, which would make all of them alike.
            wanted = name[len(setting_texts.PREFIX) :].lower()
            near = difflib.get_close_matches(wanted, Settings.model_fields, n=1)
            guess = f"; did you mean {variable(near[0])}?" if near else ""
            yield f"{name}: there is no such setting{guess}"


def _bad_values(error: ValidationError) -> Iterator[str]:
    for name in dict.fromkeys(str(item["loc"][0]) for item in error.errors(include_input=False)):
        # pydantic reads other spellings too: those were complained of as unknown.
        if text := os.environ.get(variable(name)):
            yield setting_texts.complaint(name, Settings.model_fields[name], text)


def _conflicts(settings: Settings) -> Iterator[str]:
    if settings.regions and settings.region not in settings.regions:
        yield (
            f"{variable('region')}={settings.region}: must be one of "
            f"{variable('regions')}={','.join(settings.regions)}"
        )
    if settings.mail_provider == "ses":
        yield from _too_brief_leases(settings)
    for lesser, greater in _NOT_ABOVE:
        low, high = getattr(settings, lesser), getattr(settings, greater)
        if low > high:
            yield (
                f"{variable(lesser)}={written(low)}: must not be above {variable(greater)}={written(high)}"
            )


def _too_brief_leases(settings: Settings) -> Iterator[str]:
    """Demand that an identity is not taken by another process while a request may still change it.

    What makes or deletes it is the second request of whoever has it, at most.
    """
    turn = pacing.patience(float(settings.ses_rate), settings.ses_timeout)
    least = 2 * (turn + settings.ses_timeout)
    if settings.identity_lease < least:
        lease, rate, timeout = (
            f"{variable(name)}={written(getattr(settings, name))}"
            for name in ("identity_lease", "ses_rate", "ses_timeout")
        )
        yield (
            f"{lease}: must be at least {math.ceil(least.total_seconds())}s, "
            f"which two requests take at {rate} and {timeout}"
        )
