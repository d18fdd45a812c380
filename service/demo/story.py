"""The story that the demo tells, and the check that all of it happened."""

import queue
import re
import threading
import time

import kraiter
from kraiter.domains.v1.domain_pb2 import DnsRecord, Domain, StatusEvent
from kraiter.domains.v1.domain_service_pb2 import WatchStatusRequest
from kraiter.domains.v1.sending_service_pb2 import DeliveryReport, DomainUse, SendDecision
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from service.demo.dns_server import DemoZone
from service.demo.stage import running_server

_DOMAIN = "mail.example.com"
_SCHEDULED = 3
_PATIENCE = 20.0
_MARKS = {
    DnsRecord.PENDING: "[dim]○ not looked at yet[/]",
    DnsRecord.FOUND: "[green]● found[/]",
    DnsRecord.MISSING: "[red]○ missing[/]",
    DnsRecord.MISMATCH: "[red]● wrong[/]",
    DnsRecord.UNKNOWN: "[yellow]○ unknown[/]",
}
_TOKEN = re.compile(r"\b([a-z0-9]{4})[a-z0-9]{24}([a-z0-9]{4})\b")
"""A DKIM token: its ends tell it from the others."""


class BrokeOffError(Exception):
    """Something that the story tells did not happen."""


def tell(console: Console) -> bool:
    """Tell the story on a console; whether all of it happened."""
    started = time.monotonic()
    try:
        with DemoZone("example.com") as zone:
            console.print(
                f"[dim]A DNS server for example.com listens on {zone.address}; starting the service ...[/]"
            )
            with running_server(zone.address) as server:
                console.print(f"[dim]The service listens on {server.address}.[/]")
                with kraiter.Client(server.address, server.key) as client:
                    _Story(console, client, zone).run()
    except (BrokeOffError, RuntimeError, kraiter.Error) as error:
        console.print(f"\n[bold red]The story broke off:[/] {escape(str(error))}")
        return False
    seconds = time.monotonic() - started
    console.print(f"\n[bold green]All of it happened[/] [dim]in {seconds:.0f} seconds.[/]")
    return True


class _Story:
    def __init__(self, console: Console, client: kraiter.Client, zone: DemoZone) -> None:
        self._console = console
        self._domains = client.domains
        self._sending = client.sending
        self._zone = zone
        self._watch = client.domains.watch(start=WatchStatusRequest.EARLIEST)
        self._events: queue.Queue[StatusEvent] = queue.Queue()
        self._revision = 0
        """Of the last event that was shown."""

    def run(self) -> None:
        watching = threading.Thread(target=self._listen, name="demo-watch", daemon=True)
        watching.start()
        try:
            domain = self._create()
            self._publish_wrong(domain.dns_records[0])
            self._publish_rest(domain)
            self._break_and_restore(domain)
            self._pause_and_resume()
            self._complain()
            self._use()
            self._delete()
        finally:
            self._watch.close()
            watching.join()

    def _create(self) -> Domain:
        self._chapter("Acme wants to send from mail.example.com")
        domain = self._domains.create(_DOMAIN)
        self._expect(StatusEvent.CREATED)
        self._say("The service says which records to publish:")
        self._show(domain)
        return domain

    def _publish_wrong(self, record: DnsRecord) -> None:
        self._chapter("The first record is published, as a TXT by mistake")
        self._zone.publish(record.name, "TXT", f'"{record.value}"')
        self._explain(self._until_told(DnsRecord.WRONG_TYPE))
        self._zone.withdraw(record.name, "TXT")
        self._say("That is mended.")

    def _publish_rest(self, domain: Domain) -> None:
        self._chapter("The records are published one by one")
        *first, last = domain.dns_records
        for record in first:
            self._publish(record)
            self._expect(StatusEvent.RECORDS_CHANGED)
        self._publish(last)
        event = self._expect(StatusEvent.STATUS_CHANGED)
        self._require(event.state.status == Domain.VERIFIED, "the domain becomes VERIFIED")
        self._show(self._domains.get(_DOMAIN))

    def _break_and_restore(self, domain: Domain) -> None:
        self._chapter("Months later, somebody cleans up the zone")
        record = next(record for record in domain.dns_records if record.type == DnsRecord.MX)
        self._zone.withdraw(record.name, "MX")
        self._say(f"  [red]-[/] MX {record.name}")
        event = self._expect(StatusEvent.RECORDS_BROKEN)
        self._require(event.state.status == Domain.VERIFIED, "the domain stays VERIFIED in its grace period")
        self._explain(self._until_told(DnsRecord.NOT_PUBLISHED))
        self._say("The domain is still VERIFIED: its owner has 72 hours. The record comes back.")
        self._publish(record)
        self._expect(StatusEvent.RECORDS_RESTORED)

    def _pause_and_resume(self) -> None:
        self._chapter("Sending is paused, and resumed")
        for number in range(_SCHEDULED):
            self._sending.put_use(_DOMAIN, DomainUse.SCHEDULED_SEND, f"newsletter-{number}")
        self._check(SendDecision.ALLOW)
        paused = self._domains.disable(_DOMAIN, reason="campaign under review")
        self._require(not paused.sending_enabled, "sending is paused")
        event = self._expect(StatusEvent.SENDING_DISABLED)
        self._require(event.held_sends == _SCHEDULED, "the scheduled sends are held back")
        self._check(SendDecision.HOLD)
        resumed = self._domains.enable(_DOMAIN, reason="review passed")
        self._require(resumed.sending_enabled, "sending is resumed")
        self._expect(StatusEvent.SENDING_ENABLED)
        self._check(SendDecision.ALLOW)
        for number in range(_SCHEDULED):
            self._sending.delete_use(_DOMAIN, DomainUse.SCHEDULED_SEND, f"newsletter-{number}")

    def _complain(self) -> None:
        self._chapter("An old list is mailed: deliveries come in")
        self._report(sent=2_000, delivered=1_820, hard_bounces=180)
        event = self._expect(StatusEvent.HEALTH_CHANGED)
        self._require(event.state.health == Domain.WARNING, "health becomes WARNING")
        self._show_health(event.state)
        self._check(SendDecision.ALLOW)
        self._report(sent=2_000, delivered=1_500, hard_bounces=500)
        event = self._expect(StatusEvent.HEALTH_CHANGED)
        self._require(event.state.health == Domain.CRITICAL, "health becomes CRITICAL")
        self._show_health(event.state)
        self._check(SendDecision.THROTTLE)

    def _use(self) -> None:
        self._chapter("A sequence uses the domain")
        self._sending.put_use(_DOMAIN, DomainUse.SEQUENCE, "welcome", application="crm")
        try:
            self._domains.delete(_DOMAIN)
        except kraiter.FailedPrecondition as error:
            self._say(f"  It cannot be deleted. [bold yellow]{error.reason}[/]: {escape(error.message)}")
        else:
            raise BrokeOffError("a domain in use could be deleted")
        self._sending.put_use(_DOMAIN, DomainUse.SEQUENCE, "welcome", state=DomainUse.PAUSED)
        self._say("  The sequence is paused.")

    def _delete(self) -> None:
        self._chapter("Acme moves on")
        self._domains.delete(_DOMAIN)
        self._expect(StatusEvent.DELETED)
        try:
            self._domains.get(_DOMAIN)
        except kraiter.NotFound:
            return
        raise BrokeOffError("the domain is still there after its deletion")

    def _report(self, *, sent: int, delivered: int, hard_bounces: int) -> None:
        report = DeliveryReport(domain=_DOMAIN, sent=sent, delivered=delivered, hard_bounces=hard_bounces)
        report.time.GetCurrentTime()
        answer = self._sending.report([report])
        self._require(answer.accepted == 1, "the report is counted")
        self._say(f"  [blue]report[/] {sent:,} sent, {delivered:,} delivered, {hard_bounces:,} hard bounces")

    def _check(self, expected: SendDecision.Decision.ValueType) -> None:
        """Ask whether the domain may send, on a state as fresh as the last event."""
        (decision,) = self._sending.check(_DOMAIN, min_revision=self._revision)
        shown = f"[bold]{SendDecision.Decision.Name(decision.decision)}[/]"
        if decision.reason:
            shown += f" [dim]({SendDecision.Reason.Name(decision.reason)})[/]"
        if decision.messages_per_hour:
            shown += f", {decision.messages_per_hour} messages an hour"
        self._say(f"  [green]May it send?[/] {shown}")
        self._require(decision.decision == expected, "the decision is as expected")

    def _publish(self, record: DnsRecord) -> None:
        self._say(f"  [green]+[/] {_described(record)}")
        match record.type:
            case DnsRecord.TXT:
                self._zone.publish(record.name, "TXT", f'"{record.value}"')
            case DnsRecord.MX:
                self._zone.publish(record.name, "MX", f"{record.priority} {record.value}.")
            case _:
                self._zone.publish(record.name, "CNAME", f"{record.value}.")

    def _listen(self) -> None:
        for event in self._watch:
            self._events.put(event)

    def _expect(self, kind: StatusEvent.Type.ValueType) -> StatusEvent:
        """Wait until the stream brings a change of this kind; others are shown and passed."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                event = self._events.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                raise BrokeOffError(f"the stream did not bring {StatusEvent.Type.Name(kind)}") from None
            self._show_event(event)
            self._revision = event.revision
            if event.type == kind:
                return event

    def _until_told(self, problem: DnsRecord.Problem.ValueType) -> DnsRecord:
        """Have the domain checked until one of its records has the problem."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            for record in self._domains.verify(_DOMAIN).dns_records:
                if record.problem == problem:
                    return record
        raise BrokeOffError(f"no record says {DnsRecord.Problem.Name(problem)}")

    def _require(self, happened: bool, what: str) -> None:  # noqa: FBT001 - reads as an assertion
        if not happened:
            raise BrokeOffError(f"it is not so that {what}")

    def _chapter(self, title: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{title}[/]", align="left")

    def _say(self, text: str) -> None:
        self._console.print(text)

    def _show_event(self, event: StatusEvent) -> None:
        status = Domain.Status.Name(event.state.status)
        if event.type == StatusEvent.STATUS_CHANGED:
            status = f"{Domain.Status.Name(event.previous_status)} -> [bold]{status}[/]"
        if event.type == StatusEvent.HEALTH_CHANGED:
            before, after = map(Domain.Health.Name, (event.previous_health, event.state.health))
            status = f"{before} -> [bold]{after}[/]"
        why = f" [dim]({escape(event.reason)})[/]" if event.reason else ""
        if event.held_sends:
            why += f" [dim]{event.held_sends} scheduled sends[/]"
        self._console.print(
            f"  [magenta]watch[/] [dim]#{event.revision}[/] "
            f"[bold magenta]{StatusEvent.Type.Name(event.type)}[/] {event.domain} {status}{why}"
        )

    def _show(self, domain: Domain) -> None:
        rows = Table.grid(padding=(0, 2))
        for record in domain.dns_records:
            rows.add_row("", _MARKS[record.state], DnsRecord.Purpose.Name(record.purpose), _described(record))
        self._console.print(rows)

    def _show_health(self, domain: Domain) -> None:
        report = domain.health_report
        self._say(
            f"  {report.hard_bounces:,} of {report.sent:,} bounced: [bold]{report.bounce_rate:.1%}[/] "
            f"[dim](warning at {report.bounce_warning_threshold:.0%}, "
            f"critical at {report.bounce_critical_threshold:.0%})[/]"
        )

    def _explain(self, record: DnsRecord) -> None:
        self._say(f"  {_MARKS[record.state]}  {_described(record)}")
        hint = f"[bold yellow]{DnsRecord.Problem.Name(record.problem)}[/]\n{escape(_shortened(record.hint))}"
        self._console.print(Panel(hint, border_style="yellow", padding=(0, 1)))


def _described(record: DnsRecord) -> str:
    priority = f"{record.priority} " if record.type == DnsRecord.MX else ""
    value = escape(_shortened(f"{priority}{record.value}"))
    kind = DnsRecord.Type.Name(record.type)
    return f"[bold]{kind:<5}[/] [cyan]{_shortened(record.name)}[/] [dim]{value}[/]"


def _shortened(text: str) -> str:
    return _TOKEN.sub(r"\1…\2", text)
