"""Settings: what may be written, what is said when it is wrong, and how they are listed."""

import os
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service import environment, setting_texts, settings
from service.faults import FaultPoint
from service.setting_kinds import (
    Endpoint,
    format_duration,
    format_rate,
    parse_duration,
    parse_endpoint,
    parse_rate,
)
from service.settings import Settings, SettingsError

SECRET = "kr_abcd1234_0123456789abcdefghij"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("KRAITER_"):
            monkeypatch.delenv(name)


def complaints() -> list[str]:
    """Return the lines that loading the settings fails with."""
    with pytest.raises(SettingsError) as caught:
        environment.load()
    assert str(caught.value) == "\n".join(caught.value.lines)
    return caught.value.lines


def test_nothing_needs_to_be_set() -> None:
    """An empty environment gives the documented defaults."""
    loaded = environment.load()
    assert loaded.listen == Endpoint("127.0.0.1", 50051)
    assert loaded.database_url.get_secret_value() == "sqlite:///var/kraiter.db"
    assert loaded.event_retention == timedelta(days=7)
    assert loaded.health_window == timedelta(days=7)
    assert (loaded.bounce_warning, loaded.bounce_critical) == (0.05, 0.1)
    assert (loaded.complaint_warning, loaded.complaint_critical) == (0.001, 0.005)
    assert loaded.bootstrap_api_key is None


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("KRAITER_LISTEN", "[::1]:0", "listen", Endpoint("::1", 0)),
        ("KRAITER_DNS_TIMEOUT", "250ms", "dns_timeout", timedelta(milliseconds=250)),
        ("KRAITER_EVENT_RETENTION", "14d", "event_retention", timedelta(days=14)),
        ("KRAITER_DNS_ALLOW_PRIVATE", "true", "dns_allow_private", True),
        ("KRAITER_DOMAIN_QUOTA", "0", "domain_quota", 0),
        ("KRAITER_REGION", "us-gov-west-1", "region", "us-gov-west-1"),
        ("KRAITER_REGIONS", "eu-west-1, us-east-1", "regions", ("eu-west-1", "us-east-1")),
        ("KRAITER_SES_RATE", "0.5", "ses_rate", Decimal("0.5")),
        ("KRAITER_SES_ENDPOINT_URL", "http://[::1]:5000/a", "ses_endpoint_url", "http://[::1]:5000/a"),
        ("KRAITER_FAULT_POINT", "before ses.x_y", "fault_point", FaultPoint("before", "ses.x_y")),
        ("KRAITER_LOG_FORMAT", "json", "log_format", "json"),
        ("KRAITER_HEALTH_WINDOW", "90d", "health_window", timedelta(days=90)),
        ("KRAITER_BOUNCE_WARNING", "4%", "bounce_warning", 0.04),
        ("KRAITER_BOUNCE_WARNING", "0.7%", "bounce_warning", 0.007),
        ("KRAITER_BOUNCE_CRITICAL", "100%", "bounce_critical", 1.0),
        ("KRAITER_COMPLAINT_WARNING", "0.0015", "complaint_warning", 0.0015),
        ("KRAITER_COMPLAINT_CRITICAL", " 2% ", "complaint_critical", 0.02),
        (
            "KRAITER_DNS_NAMESERVERS",
            "9.9.9.9, 127.0.0.1:5353, 2620:fe::fe, [::1]:54",
            "dns_nameservers",
            (
                Endpoint("9.9.9.9", 53),
                Endpoint("127.0.0.1", 5353),
                Endpoint("2620:fe::fe", 53),
                Endpoint("::1", 54),
            ),
        ),
        (
            "KRAITER_SES_EVENT_QUEUES",
            "https://sqs.eu-west-1.amazonaws.com/1/a, http://127.0.0.1:99/1/b.fifo,http://127.0.0.1:99/1/b.fifo",
            "ses_event_queues",
            ("https://sqs.eu-west-1.amazonaws.com/1/a", "http://127.0.0.1:99/1/b.fifo"),
        ),
        ("KRAITER_DEAD_LETTER_RETENTION", "7d", "dead_letter_retention", timedelta(days=7)),
    ],
)
def test_a_setting_is_read_from_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, field: str, value: object
) -> None:
    """Each kind of value is read from the way people write it."""
    monkeypatch.setenv(name, text)
    assert getattr(environment.load(), field) == value


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files and shells write unset variables as empty ones: the default holds."""
    monkeypatch.setenv("KRAITER_DNS_TIMEOUT", "")
    assert environment.load().dns_timeout == timedelta(seconds=1)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (
            "KRAITER_LISTEN",
            "localhost",
            "KRAITER_LISTEN=localhost: must be HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051",
        ),
        (
            "KRAITER_DNS_TIMEOUT",
            "1 s",
            "KRAITER_DNS_TIMEOUT=1 s: must be a duration from 10ms to 1m, such as 250ms, 10s, 5m, 72h or 7d",
        ),
        (
            "KRAITER_DNS_TIMEOUT",
            "2m",
            "KRAITER_DNS_TIMEOUT=2m: must be a duration from 10ms to 1m, such as 250ms, 10s, 5m, 72h or 7d",
        ),
        ("KRAITER_RPC_THREADS", "0", "KRAITER_RPC_THREADS=0: must be a whole number from 1 to 256"),
        ("KRAITER_RPC_THREADS", "1.5", "KRAITER_RPC_THREADS=1.5: must be a whole number from 1 to 256"),
        (
            "KRAITER_HEALTH_WINDOW",
            "30m",
            "KRAITER_HEALTH_WINDOW=30m: must be a duration from 1h to 90d, such as 250ms, 10s, 5m, 72h or 7d",
        ),
        *(
            (
                "KRAITER_COMPLAINT_WARNING",
                text,
                (
                    f"KRAITER_COMPLAINT_WARNING={text}: must be a rate above 0% and at most 100%, "
                    "such as 5%, 0.1% or 0.05"
                ),
            )
            for text in ("0%", "0", "100.1%", "5", "-1%", "1e-3", "nan", "5 %", "%", "one")
        ),
        ("KRAITER_CHANNELZ", "maybe", "KRAITER_CHANNELZ=maybe: must be true or false"),
        ("KRAITER_DNS_MODE", "stub", "KRAITER_DNS_MODE=stub: must be authoritative or recursive"),
        ("KRAITER_LOG_LEVEL", "loud", "KRAITER_LOG_LEVEL=loud: must be debug, info, warning or error"),
        ("KRAITER_MAIL_PROVIDER", "smtp", "KRAITER_MAIL_PROVIDER=smtp: must be local or ses"),
        (
            "KRAITER_REGIONS",
            "eu-west-1,,us-east-1",
            (
                "KRAITER_REGIONS=eu-west-1,,us-east-1: must be AWS regions, comma-separated, "
                "such as eu-west-1,us-east-1"
            ),
        ),
        (
            "KRAITER_REGIONS",
            "us-east-1,us-east-2",
            "KRAITER_REGION=eu-west-1: must be one of KRAITER_REGIONS=us-east-1,us-east-2",
        ),
        (
            "KRAITER_SES_RATE",
            "0",
            "KRAITER_SES_RATE=0: must be a number above 0 and at most 100, such as 1 or 0.5",
        ),
        (
            "KRAITER_SES_ENDPOINT_URL",
            "ftp://example.com",
            (
                "KRAITER_SES_ENDPOINT_URL=ftp://example.com: must be an address that begins with "
                "http:// or https://"
            ),
        ),
        (
            "KRAITER_FAULT_POINT",
            "during x.y",
            (
                "KRAITER_FAULT_POINT=during x.y: must be before or after and a call, "
                "such as before ses.create_email_identity"
            ),
        ),
        ("KRAITER_REGION", "a\nb", "KRAITER_REGION=a\\nb: must be an AWS region, such as eu-west-1"),
        (
            "KRAITER_DNS_NAMESERVERS",
            "9.9.9.9,ns1.example.com",
            (
                "KRAITER_DNS_NAMESERVERS=9.9.9.9,ns1.example.com: must be addresses of name servers, "
                "comma-separated, such as 9.9.9.9,127.0.0.1:5353"
            ),
        ),
        *(
            (
                "KRAITER_SES_EVENT_QUEUES",
                text,
                (
                    f"KRAITER_SES_EVENT_QUEUES={text}: must be URLs of SQS queues, comma-separated, such as "
                    "https://sqs.eu-west-1.amazonaws.com/123456789012/ses-events"
                ),
            )
            for text in (
                "events",
                "https://sqs.eu-west-1.amazonaws.com",
                "ftp://a/b",
                "https://a/b,",
                "https://a/b?c",
            )
        ),
        (
            "KRAITER_LISTENN",
            "x",
            "KRAITER_LISTENN: there is no such setting; did you mean KRAITER_LISTEN?",
        ),
        (
            "KRAITER_DNS_AUTORITY_PORT",
            "5353",
            "KRAITER_DNS_AUTORITY_PORT: there is no such setting; did you mean KRAITER_DNS_AUTHORITY_PORT?",
        ),
        (
            "kraiter_rpc_threads",
            "x",
            "kraiter_rpc_threads: there is no such setting; did you mean KRAITER_RPC_THREADS?",
        ),
        ("KRAITER_QQ", "x", "KRAITER_QQ: there is no such setting"),
        (
            "KRAITER_DNS_BUDGET",
            "500ms",
            "KRAITER_DNS_TIMEOUT=1s: must not be above KRAITER_DNS_BUDGET=500ms",
        ),
        (
            "KRAITER_BOUNCE_WARNING",
            "0.11",
            "KRAITER_BOUNCE_WARNING=11%: must not be above KRAITER_BOUNCE_CRITICAL=10%",
        ),
        (
            "KRAITER_COMPLAINT_CRITICAL",
            "0.05%",
            "KRAITER_COMPLAINT_WARNING=0.1%: must not be above KRAITER_COMPLAINT_CRITICAL=0.05%",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, line: str
) -> None:
    """The line names the variable, what was written, and what may be."""
    monkeypatch.setenv(name, text)
    assert complaints() == [line]


@pytest.mark.parametrize(
    ("lease", "rate", "timeout", "least"),
    [
        ("59s", "0.5", "6s", "60s"),
        ("30s", "1", "5s", "34s"),
        ("1m", "0.25", "5s", "106s"),
        ("19s", "100", "5s", "20s"),
        ("1990ms", "100", "500ms", "2s"),
    ],
)
def test_a_lease_is_not_over_before_what_is_done_under_it(
    monkeypatch: pytest.MonkeyPatch, lease: str, rate: str, timeout: str, least: str
) -> None:
    """Two requests to SES, each after its turn: what finds an identity, and what makes or deletes it."""
    monkeypatch.setenv("KRAITER_IDENTITY_LEASE", lease)
    monkeypatch.setenv("KRAITER_SES_RATE", rate)
    monkeypatch.setenv("KRAITER_SES_TIMEOUT", timeout)
    environment.load()
    monkeypatch.setenv("KRAITER_MAIL_PROVIDER", "ses")
    (line,) = complaints()
    assert line == (
        f"KRAITER_IDENTITY_LEASE={lease}: must be at least {least}, "
        f"which two requests take at KRAITER_SES_RATE={rate} and KRAITER_SES_TIMEOUT={timeout}"
    )
    monkeypatch.setenv("KRAITER_IDENTITY_LEASE", least)
    environment.load()


def test_every_wrong_setting_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to start the service once for each mistake."""
    monkeypatch.setenv("KRAITER_TYPO", "x")
    monkeypatch.setenv("KRAITER_RPC_THREADS", "many")
    monkeypatch.setenv("KRAITER_DNS_MODE", "both")
    assert sorted(line.split("=")[0].split(":")[0] for line in complaints()) == [
        "KRAITER_DNS_MODE",
        "KRAITER_RPC_THREADS",
        "KRAITER_TYPO",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KRAITER_BOOTSTRAP_API_KEY", "kr_abcd_short-Hunter2"),
        ("KRAITER_DATABASE_URL", "mysql://root:Hunter2@db/kraiter"),
    ],
)
def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """What was written as a secret appears neither in the lines nor in the chain of errors."""
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError) as caught:
        environment.load()
    assert caught.value.lines[0].startswith(f"{name}=(not shown): must be ")
    assert "Hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_secrets_do_not_show_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings can be logged as a whole."""
    monkeypatch.setenv("KRAITER_BOOTSTRAP_API_KEY", SECRET)
    monkeypatch.setenv("KRAITER_DATABASE_URL", "postgresql://kraiter:Hunter2@127.0.0.1/kraiter")
    loaded = environment.load()
    assert loaded.bootstrap_api_key is not None
    assert loaded.bootstrap_api_key.get_secret_value() == SECRET
    assert SECRET not in repr(loaded)
    assert "Hunter2" not in repr(loaded)


@pytest.mark.parametrize(
    "name",
    ["KRAITER_TEST_POSTGRES", "KRAITER_PORT", "KRAITER_SERVICE_HOST", "KRAITER_DOMAINS_PORT_50051_TCP_ADDR"],
)
def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Those of the test suite, and those that Kubernetes adds for a Service named `kraiter`, are no typos."""
    monkeypatch.setenv(name, "tcp://10.0.0.1:50051")
    environment.load()


def test_settings_are_frozen() -> None:
    """Nothing changes a setting once it is read."""
    with pytest.raises(ValidationError, match="frozen"):
        environment.load().rpc_threads = 1  # type: ignore[misc]  # frozen is what is tested


def test_the_table_has_a_row_for_every_setting() -> None:
    """The README's table names each variable with its default, its meaning and what is allowed."""
    header, rule, *rows = settings.table().splitlines()
    assert header.count("|") == rule.count("|") == 4
    assert [row.split("`")[1] for row in rows] == [
        setting_texts.variable(name) for name in Settings.model_fields
    ]
    assert (
        "| `KRAITER_GRACE_PERIOD` | `72h` | How long records must have been broken before a VERIFIED domain "
        "becomes FAILED. Allowed: a duration from 0ms to 90d, such as 250ms, 10s, 5m, 72h or 7d. |"
    ) in rows
    assert (
        "| `KRAITER_COMPLAINT_WARNING` | `0.1%` | The rate of complaints at which health becomes WARNING. "
        "Allowed: a rate above 0% and at most 100%, such as 5%, 0.1% or 0.05. |"
    ) in rows
    assert all(row.count("|") == 4 and "None" not in row for row in rows)


@given(st.integers(min_value=0, max_value=10**9), st.sampled_from(["ms", "s", "m", "h"]))
def test_durations_survive_being_written(number: int, unit: str) -> None:
    """Whatever duration can be written is read back the same from how it is shown."""
    duration = parse_duration(f"{number % 10**9}{unit}")
    assert parse_duration(format_duration(duration)) == duration


@given(st.floats(min_value=1e-9, max_value=1).map(lambda rate: round(rate, 9)))
def test_rates_survive_being_written(rate: float) -> None:
    """A rate is shown as the very percentage that it is read back from."""
    shown = format_rate(rate)
    assert shown.endswith("%")
    assert parse_rate(shown) == rate


@given(st.integers(0, 999_999))
def test_a_percentage_is_the_fraction_that_it_says(thousandths: int) -> None:
    """Without the rounding that a division by 100 would add: a threshold is what was written."""
    percentage = f"{thousandths // 1000}.{thousandths % 1000:03}%"
    assert parse_rate(percentage) == float(f"{thousandths}e-5")


@given(st.text(max_size=12) | st.from_regex(r"[0-9.%]{1,12}", fullmatch=True))
def test_any_text_is_read_or_a_value_error(text: str) -> None:
    """No text makes the parsers fail in a way that would not be a line."""
    for parse in (parse_duration, parse_endpoint, parse_rate):
        try:
            parse(text)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("24h", "24h"),
        ("72h", "72h"),
        ("168h", "7d"),
        ("60s", "1m"),
        ("90s", "90s"),
        ("1500ms", "1500ms"),
        ("0s", "0ms"),
    ],
)
def test_durations_are_shown_as_people_write_them(text: str, shown: str) -> None:
    """The largest unit that divides a duration is used, days from the fourth on."""
    assert format_duration(parse_duration(text)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("5.0%", "5%"),
        ("0.05", "5%"),
        ("10%", "10%"),
        ("1", "100%"),
        ("0.10%", "0.1%"),
        ("0.0005%", "0.0005%"),
    ],
)
def test_rates_are_shown_as_percentages(text: str, shown: str) -> None:
    """Without digits that say nothing, and never with an exponent."""
    assert format_rate(parse_rate(text)) == shown
