"""The command line: `python -m service COMMAND`."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Literal, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service import app, environment, logs, settings
from service.clock import SystemClock
from service.core import names
from service.core.diagnosis import Level, failure
from service.core.errors import ServiceError
from service.core.feedback import Tally, Unreadable
from service.core.health import Thresholds
from service.core.keys import Key, Scope
from service.core.tenants import OnCritical, TenantPolicy
from service.mail.ses import events as ses_events
from service.setting_kinds import format_rate, parse_duration, parse_rate
from service.settings import Settings, SettingsError
from service.store import sql as store
from service.usecases.manage_dead_letters import ManageDeadLetters
from service.usecases.manage_keys import ManageKeys
from service.usecases.manage_tenants import ManageTenants, PolicyChanges

_UNBOUNDED = 100_000
"""Columns of what is no terminal."""
_DEFAULT_POLICY = TenantPolicy()
_LetterId = Annotated[str | None, typer.Argument(metavar="ID", help="One of them, as `list` shows it.")]
_Every = Annotated[bool, typer.Option("--all", help="All of them.")]

cli = typer.Typer(
    help="The sending-domains service. Its settings are read from KRAITER_... variables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
keys_cli = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)
tenants_cli = typer.Typer(help="Create and list tenants, and set their policies.", no_args_is_help=True)
cli.add_typer(keys_cli, name="keys")
cli.add_typer(tenants_cli, name="tenants")
letters_cli = typer.Typer(
    help="List, retry and delete messages about deliveries that could not be read.", no_args_is_help=True
)
cli.add_typer(letters_cli, name="dead-letters")


@cli.command()
def serve() -> None:
    """Serve until SIGTERM or SIGINT."""
    app.run(_settings())


@cli.command()
def migrate(
    *,
    new_epoch: Annotated[
        bool, typer.Option("--new-epoch", help="After a restore: refuse every token made before.")
    ] = False,
) -> None:
    """Bring the database to this version's schema."""
    url = _settings().database_url.get_secret_value()
    store.migrate(url)
    if new_epoch:
        store.new_epoch(url)
    typer.echo("the database is at this version's schema")


@cli.command("settings")
def show_settings() -> None:
    """Print every setting, as the table of the README."""
    typer.echo(settings.table())


def _domain(text: str) -> str:
    try:
        return names.parse(text)
    except ServiceError as error:
        raise typer.BadParameter(error.violations[0].description) from error


@cli.command("doctor")
def run_doctor(
    *,
    dns_name: Annotated[
        str, typer.Option(metavar="DOMAIN", help="A domain by which DNS is tried.", callback=_domain)
    ] = "example.com",
) -> None:
    """Look whether all that the service needs is there: a line for each thing, 1 where something fails."""
    try:
        chosen = _settings()
    except SettingsError as error:
        diagnoses = iter([failure("settings", line, "mend it") for line in error.lines])
    else:
        from service import doctor  # noqa: PLC0415 - it looks at everything: no other command needs all of it

        diagnoses = doctor.examine(chosen, dns_name)
    is_well = True
    for each in diagnoses:
        is_well &= each.level is not Level.FAILURE
        advice = f" -> {each.advice}" if each.advice else ""
        typer.echo(f"{each.level:<8} {each.subject}: {each.text}{advice}")
    if not is_well:
        raise typer.Exit(1)


@cli.command("demo")
def run_demo() -> None:
    """Tell the life of a domain in under a minute, on loopback."""
    from service import demo  # noqa: PLC0415 - a client and a DNS server: no other command has use for them

    if not demo.tell(Console()):
        raise typer.Exit(1)


@tenants_cli.command("create")
def create_tenant(tenant: str) -> None:
    """Create a tenant."""
    with _tenants() as manage:
        if not manage.create(tenant):
            raise typer.BadParameter(f"there is a tenant {tenant} already")
    typer.echo(f"created tenant {tenant}")


@tenants_cli.command("list")
def list_tenants() -> None:
    """List all tenants."""
    with _tenants() as manage:
        for tenant in manage.list():
            typer.echo(tenant)


@tenants_cli.command("show")
def show_policy(tenant: str) -> None:
    """Show how a tenant's domains are judged and held, and what of that is its own."""
    with _tenants() as manage:
        _print_policy(manage.policy(tenant), manage.defaults)


@tenants_cli.command("set")
def set_policy(
    tenant: str,
    *,
    bounce_warning: Annotated[
        str | None, typer.Option(metavar="RATE", help="The rate of hard bounces of WARNING, such as 4%.")
    ] = None,
    bounce_critical: Annotated[
        str | None, typer.Option(metavar="RATE", help="The rate of hard bounces of CRITICAL.")
    ] = None,
    complaint_warning: Annotated[
        str | None, typer.Option(metavar="RATE", help="The rate of complaints of WARNING, such as 0.1%.")
    ] = None,
    complaint_critical: Annotated[
        str | None, typer.Option(metavar="RATE", help="The rate of complaints of CRITICAL.")
    ] = None,
    on_critical: Annotated[
        Literal["throttle", "suspend", "default"] | None,
        typer.Option(help="What becomes of the sending of a CRITICAL domain."),
    ] = None,
    messages_per_hour: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="What a throttled domain may send in an hour.")
    ] = None,
) -> None:
    """Set how a tenant's domains are judged and held. The value `default` takes its own away."""
    given = {
        "bounce_warning": bounce_warning,
        "bounce_critical": bounce_critical,
        "complaint_warning": complaint_warning,
        "complaint_critical": complaint_critical,
        "on_critical": on_critical,
        "messages_per_hour": messages_per_hour,
    }
    changes = {field: _policy_value(field, text) for field, text in given.items() if text is not None}
    with _tenants() as manage:
        _print_policy(manage.set(tenant, cast("PolicyChanges", changes)), manage.defaults)


@keys_cli.command("create")
def create_key(
    *,
    tenant: Annotated[str, typer.Option(help="The tenant that the key belongs to.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may be used for; repeatable.")],
    domain: Annotated[
        list[str] | None, typer.Option(help="A domain that it is limited to; repeatable.")
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(help="Its lifetime, such as 90d. Default: for ever.")
    ] = None,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Create a key and print it: it is shown this once."""
    with app.opened_store(_settings()) as opened:
        text = ManageKeys(opened, SystemClock()).create(
            tenant, scopes=scope, domains=domain or (), note=note, lifetime=_lifetime(expires_in)
        )
    typer.echo(text)


@keys_cli.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's keys.")] = None,
) -> None:
    """List keys, without their secrets."""
    with app.opened_store(_settings()) as opened:
        found = ManageKeys(opened, SystemClock()).list(tenant)
    table = Table(box=None)
    for heading in ("id", "tenant", "scopes", "domains", "created", "expires", "revoked", "note"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "id")
    for key in found:
        table.add_row(*_row(key))
    _print(table)


@keys_cli.command("revoke")
def revoke_key(key_id: str) -> None:
    """Revoke a key: it stops working within a second, on open streams too."""
    with app.opened_store(_settings()) as opened:
        if not ManageKeys(opened, SystemClock()).revoke(key_id):
            raise typer.BadParameter(f"there is no key {key_id}")
    typer.echo(f"revoked key {key_id}")


@letters_cli.command("list")
def list_letters() -> None:
    """List dead letters, oldest first, without their bodies."""
    table = Table("id", "arrived", "queue", "problem", box=None)
    with _letters() as manage:
        for letter in manage.list():
            table.add_row(letter.id, _time(letter.time), letter.queue, escape(letter.problem))
    _print(table)


@letters_cli.command("show")
def show_letter(letter_id: str) -> None:
    """Print the body of a dead letter."""
    with _letters() as manage:
        letter = manage.get(letter_id)
    if letter is None:
        raise _no_letter(letter_id)
    # A message may have characters that no output takes.
    typer.echo(letter.body.encode(errors="backslashreplace"))


@letters_cli.command("retry")
def retry_letters(letter_id: _LetterId = None, *, every: _Every = False) -> None:
    """Read dead letters again: those that can be read now are counted and deleted."""
    with _letters() as manage:
        for chosen in _chosen(manage, letter_id, every=every):
            match manage.retry(chosen):
                case Tally() as tally:
                    fates = tally._asdict().items()
                    told = ", ".join(f"{count} {fate.replace('_', ' ')}" for fate, count in fates if count)
                    typer.echo(f"{chosen}: deleted: {told or 'nothing in it counts'}")
                case Unreadable(problem):
                    typer.echo(f"{chosen}: kept: {problem}")
                case None if not every:
                    raise _no_letter(chosen)
                case None:
                    pass  # somebody else was faster


@letters_cli.command("delete")
def delete_letters(letter_id: _LetterId = None, *, every: _Every = False) -> None:
    """Delete dead letters without counting them."""
    with _letters() as manage:
        count = manage.delete(_chosen(manage, letter_id, every=every))
    if letter_id is not None and not count:
        raise _no_letter(letter_id)
    typer.echo(f"deleted {count}")


def main() -> None:
    """Run the command line. What a user can mend is told in a line, without a traceback."""
    try:
        cli()
    except (SettingsError, ServiceError, store.NotMigratedError, OSError) as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


def _settings() -> Settings:
    chosen = environment.load()
    # For every command: standard output is for what it was asked for.
    logs.configure(chosen.log_format, chosen.log_level)
    return chosen


def _lifetime(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text} is no duration such as 12h or 90d") from error


@contextmanager
def _tenants() -> Iterator[ManageTenants]:
    chosen = _settings()
    with app.opened_store(chosen) as opened:
        yield ManageTenants(opened, opened, SystemClock(), app.health_policy(chosen).thresholds)


@contextmanager
def _letters() -> Iterator[ManageDeadLetters]:
    chosen = _settings()
    with app.opened_store(chosen) as opened:
        yield ManageDeadLetters(opened, ses_events.parse, SystemClock(), chosen.health_window)


def _chosen(manage: ManageDeadLetters, letter_id: str | None, *, every: bool) -> Iterable[str]:
    if (letter_id is None) is not every:
        raise typer.BadParameter("name one dead letter, or all of them with --all")
    return (letter.id for letter in manage.list()) if letter_id is None else [letter_id]


def _no_letter(letter_id: str) -> typer.BadParameter:
    return typer.BadParameter(f"there is no dead letter {letter_id}")


def _policy_value(field: str, text: str) -> object:
    if text == "default":
        return getattr(_DEFAULT_POLICY, field)
    parse: Callable[[str], float]
    match field:
        case "on_critical":
            return OnCritical(text)
        case "messages_per_hour":
            parse, kind = int, "whole number"
        case _:
            parse, kind = parse_rate, "rate such as 5% or 0.1%"
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text} is no {kind}", param_hint=f"--{_option(field)}") from error


def _print_policy(policy: TenantPolicy, defaults: Thresholds) -> None:
    values = {
        f"{rate}_{level}": format_rate(begins)
        for rate, threshold in policy.thresholds(defaults)._asdict().items()
        for level, begins in threshold._asdict().items()
    }
    values |= {"on_critical": policy.on_critical, "messages_per_hour": str(policy.messages_per_hour)}
    table = Table("policy", "value", "whose", box=None)
    for field, value in values.items():
        is_own = getattr(policy, field) != getattr(_DEFAULT_POLICY, field)
        table.add_row(_option(field), value, "own" if is_own else "default")
    _print(table)


def _option(field: str) -> str:
    return field.replace("_", "-")


def _print(table: Table) -> None:
    # Into a pipe goes one line for each row, whatever its length.
    Console(width=None if sys.stdout.isatty() else _UNBOUNDED).print(table)


def _row(key: Key) -> tuple[str, ...]:
    return (
        key.id,
        key.tenant,
        " ".join(sorted(key.scopes)),
        " ".join(sorted(key.domains or ())) or "all",
        _time(key.create_time),
        _time(key.expire_time),
        _time(key.revoke_time),
        key.note,
    )


def _time(time: datetime | None) -> str:
    return time.isoformat(" ", "seconds") if time else ""


if __name__ == "__main__":
    main()
