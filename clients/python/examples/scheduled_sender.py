"""A sender of scheduled messages, as an example of the send gate and of uses.

    scheduled_sender.py schedule --ledger ledger.db --domain mail.example.com --count 100 --spread 60
    KRAITER_API_KEY=kr_... scheduled_sender.py run --ledger ledger.db --target 127.0.0.1:50051

Each message is registered as a use of its domain before it counts as scheduled:
the domain cannot be deleted under it. It is sent when it is due and the gate
lets it through; while its domain is on hold it waits. The ledger remembers how
far each has come. Whatever ends the program, and whenever, nothing is lost and
nothing is sent twice; the next start goes on from there.
"""

import argparse
import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import NamedTuple

import kraiter
from kraiter.domains.v1.sending_service_pb2 import DomainUse, SendDecision

_log = logging.getLogger("scheduled_sender")

_BATCH = 100
"""Messages that are looked at together: what becomes due meanwhile should not wait for long."""
_PAUSE = 0.1
"""Seconds between two looks at the ledger."""
_CALL_TIMEOUT = 5.0
_CALL_PAUSE = 1.0
"""Seconds without calls after one that failed."""

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY,
    domain TEXT NOT NULL,
    due REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'NEW' CHECK (state IN ('NEW', 'SCHEDULED', 'SENT', 'REJECTED')),
    is_registered INTEGER NOT NULL DEFAULT FALSE,
    sent_at REAL
);
CREATE INDEX IF NOT EXISTS messages_by_state ON messages (state, domain, due);
CREATE TABLE IF NOT EXISTS deliveries (message TEXT NOT NULL, domain TEXT NOT NULL, time REAL NOT NULL);
"""


class Message(NamedTuple):
    """A message of the ledger."""

    id: str
    domain: str
    due: float
    """When to send it, in seconds since 1970."""


class Ledger:
    """Remembers every message, and how far it has come. What a method has written stays."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, timeout=30, isolation_level="IMMEDIATE")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, messages: Iterable[Message]) -> None:
        """Take in new messages."""
        with self._connection:
            self._connection.executemany("INSERT INTO messages (id, domain, due) VALUES (?, ?, ?)", messages)

    def new(self) -> list[Message]:
        """Return messages that are not registered yet, the earliest first."""
        return self._messages("state = 'NEW' ORDER BY due")

    def due(self, domain: str) -> list[Message]:
        """Return messages of a domain that are due, the earliest first."""
        return self._messages(
            "state = 'SCHEDULED' AND domain = ? AND due <= ? ORDER BY due", domain, time.time()
        )

    def done(self) -> list[Message]:
        """Return messages that are sent or rejected, and still registered."""
        return self._messages("state IN ('SENT', 'REJECTED') AND is_registered")

    def due_domains(self) -> list[str]:
        """Return the domains of all messages that are due."""
        due = "SELECT DISTINCT domain FROM messages WHERE state = 'SCHEDULED' AND due <= ?"
        return [domain for (domain,) in self._connection.execute(due, (time.time(),))]

    def is_empty(self) -> bool:
        """Whether there is nothing left to do."""
        return not self._messages("state IN ('NEW', 'SCHEDULED') OR is_registered")

    def note_registered(self, message: Message) -> None:
        """Have a new message scheduled."""
        # Another sender of this ledger may be ahead, and may have sent it.
        self._change(message, "state = iif(state = 'NEW', 'SCHEDULED', state), is_registered = TRUE")

    def note_rejected(self, message: Message) -> None:
        """Have a message never sent."""
        self._change(message, "state = iif(state = 'SENT', state, 'REJECTED')")

    def note_removed(self, message: Message) -> None:
        """Have a message registered no more."""
        self._change(message, "is_registered = FALSE")

    def send(self, message: Message) -> None:
        """Send a scheduled message, unless it was sent already.

        Here that is a line in a table, written together with the state. In
        earnest the message would go to a mail server that takes it once for its
        id, and the state would be written when that has it.
        """
        now = time.time()
        with self._connection:
            changed = self._connection.execute(
                "UPDATE messages SET state = 'SENT', sent_at = ? WHERE id = ? AND state = 'SCHEDULED'",
                (now, message.id),
            )
            if changed.rowcount:
                line = (message.id, message.domain, now)
                self._connection.execute("INSERT INTO deliveries VALUES (?, ?, ?)", line)

    def _messages(self, wanted: str, *values: object) -> list[Message]:
        query = f"SELECT id, domain, due FROM messages WHERE {wanted} LIMIT {_BATCH}"  # noqa: S608 - all of it is above
        return [Message(*row) for row in self._connection.execute(query, values)]

    def _change(self, message: Message, change: str) -> None:
        with self._connection:
            self._connection.execute(f"UPDATE messages SET {change} WHERE id = ?", (message.id,))  # noqa: S608 - as above


class Sender:
    """Brings the messages of a ledger on their way."""

    def __init__(self, ledger: Ledger, sending: kraiter.Sending, gate: kraiter.SendGate) -> None:
        self._ledger = ledger
        self._sending = sending
        self._gate = gate
        self._next_calls = 0.0

    def work(self) -> None:
        """Do what can be done now."""
        if time.monotonic() >= self._next_calls:
            try:
                self._register_new()
                self._remove_done()
            except kraiter.Error as error:
                # The service may be away. Only the gate knows what may be sent meanwhile.
                _log.warning("calls are put off: %s", error)
                self._next_calls = time.monotonic() + _CALL_PAUSE
        for domain in self._ledger.due_domains():
            self._send_due(domain)

    def _register_new(self) -> None:
        for message in self._ledger.new():
            due = datetime.fromtimestamp(message.due, UTC)
            try:
                self._sending.put_use(
                    message.domain, DomainUse.SCHEDULED_SEND, message.id, scheduled_time=due
                )
            except (kraiter.NotFound, kraiter.InvalidArgument) as error:
                self._reject(message, error.reason)
            else:
                self._ledger.note_registered(message)

    def _send_due(self, domain: str) -> None:
        decision = self._gate.decision(domain)
        for message in self._ledger.due(domain):
            if decision.decision == SendDecision.REJECT:
                self._reject(message, SendDecision.Reason.Name(decision.reason))
            elif self._gate.allowed(domain):
                self._ledger.send(message)
            else:
                return  # held or throttled: they wait for another round

    def _remove_done(self) -> None:
        for message in self._ledger.done():
            # It is gone where this program was ended before it could note that.
            with suppress(kraiter.NotFound):
                self._sending.delete_use(message.domain, DomainUse.SCHEDULED_SEND, message.id)
            self._ledger.note_removed(message)

    def _reject(self, message: Message, reason: str) -> None:
        _log.warning("message %s is not sent: %s", message.id, reason)
        self._ledger.note_rejected(message)


def schedule(arguments: argparse.Namespace) -> None:
    """Add messages to a ledger."""
    now = time.time()
    messages = [
        Message(str(uuid.uuid4()), domain, now + arguments.spread * number / arguments.count)
        for domain in arguments.domain
        for number in range(arguments.count)
    ]
    with closing(Ledger(arguments.ledger)) as ledger:
        ledger.add(messages)


def run(arguments: argparse.Namespace) -> None:
    """Send the messages of a ledger."""
    with (
        closing(Ledger(arguments.ledger)) as ledger,
        kraiter.Client(arguments.target, arguments.key, timeout=_CALL_TIMEOUT) as client,
        client.gate() as gate,
    ):
        sender = Sender(ledger, client.sending, gate)
        while not (arguments.until_empty and ledger.is_empty()):
            sender.work()
            time.sleep(_PAUSE)  # what becomes due meanwhile can wait for as long


def main() -> None:
    """Do what the command line says."""
    ledger = argparse.ArgumentParser(add_help=False)
    ledger.add_argument("--ledger", required=True, help="an SQLite file, made where there is none")
    parser = argparse.ArgumentParser(description="Sends scheduled messages through the send gate.")
    commands = parser.add_subparsers(required=True)

    adding = commands.add_parser("schedule", parents=[ledger], help="add messages to the ledger")
    adding.set_defaults(command=schedule)
    adding.add_argument("--domain", required=True, action="append", help="a domain to send from; repeatable")
    adding.add_argument("--count", type=int, default=1, help="messages for each domain (default: 1)")
    adding.add_argument("--spread", type=float, default=0, help="seconds until the last is due (default: 0)")

    key = os.environ.get("KRAITER_API_KEY")
    sending = commands.add_parser("run", parents=[ledger], help="send the messages of the ledger")
    sending.set_defaults(command=run)
    sending.add_argument("--target", required=True, help="the service, as host:port")
    sending.add_argument("--key", required=key is None, default=key, help="default: KRAITER_API_KEY")
    sending.add_argument("--until-empty", action="store_true", help="end when there is nothing left to do")

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    arguments = parser.parse_args()
    arguments.command(arguments)


if __name__ == "__main__":
    main()
