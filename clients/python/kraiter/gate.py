"""The send gate: whether domains may send, told in memory."""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Self

from kraiter import errors
from kraiter.admission import Admission
from kraiter.decision_cache import DecisionCache
from kraiter.decisions import UNDECIDED, Decision
from kraiter.domains.v1.sending_service_pb2 import SendDecision
from kraiter.sending import Sending
from kraiter.watch import Watch

_log = logging.getLogger(__name__)

PAUSE = 1.0
"""Before the state of the domains is read anew, in seconds."""
_ALLOW = SendDecision.ALLOW
_LOCKS = 64


class SendGate:
    """Tells senders whether domains may send, without a call for each message.

    It keeps a copy of the state of the tenant's domains, which a WatchStatus
    stream keeps up to date, and answers from it. It asks the service where the
    copy does not tell: about a domain that is not in it, or under another
    spelling than the canonical one; about one whose health is critical, every
    10 seconds; and about every domain while the stream is not known to be up
    to date. What the service says then counts for a second. Where it does not
    answer within a second, the decision is HOLD, and it is not asked about that
    domain again for a second: the gate fails closed.

    Once DisableDomain has returned, the gate stops a domain within milliseconds,
    normally. It takes `max_silence` + 3 seconds at worst, and the time that a
    message needs to arrive: where a server cannot read what is new, it takes 3
    seconds until its messages no longer say that the stream has caught up.
    While the service is asked in place of the stream it takes 2 seconds at
    worst: an answer counts for a second and is, from another replica, up to a
    second old.

    A domain that is throttled gets at most `messages_per_hour` through this
    gate within any hour, a few of them at once. Each gate counts for itself:
    several of them let several times as many through.

    Safe to share between threads. The key needs the scopes `domains.read` and
    `sending.read`.
    """

    def __init__(self, open_watch: Callable[[], Watch], sending: Sending, max_silence: float) -> None:
        """Begin to read; `open_watch` begins a watch with the current state."""
        self._open_watch = open_watch
        self._sending = sending
        self._cache = DecisionCache(max_silence)
        self._admission = Admission()
        # One call about a domain is enough, however many threads ask.
        self._asking = [threading.Lock() for _ in range(_LOCKS)]
        self._changed = threading.Condition()
        self._changes = 0
        self._closed = threading.Event()
        self._watch: Watch | None = None
        self._reader = threading.Thread(target=self._follow, name="send-gate", daemon=True)
        self._reader.start()

    def allowed(self, domain: str) -> bool:
        """Whether a message may be sent from a domain now.

        From memory it takes less than a microsecond. True counts as a message
        where the domain is throttled.

        Raises:
            GateClosed: the gate was closed.

        """
        decision = self._cache.recall(domain)
        if decision is None:
            decision = self._ask(domain)
        return decision.decision == _ALLOW or self._admission.delay(domain, decision) == 0

    def decision(self, domain: str) -> Decision:
        """Return what to do with messages from a domain, and why. HOLD without a reason: nobody can tell.

        Raises:
            GateClosed: the gate was closed.

        """
        decision = self._cache.recall(domain)
        return self._ask(domain) if decision is None else decision

    def wait_until_allowed(self, domain: str, timeout: float | None = None) -> None:
        """Return once a message may be sent from a domain: it counts as one where that is throttled.

        Raises:
            SendRejected: the domain must not send.
            TimeoutError: that did not come within `timeout` seconds.
            GateClosed: the gate was closed.

        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            seen = self._changes
            pause = self._admission.pause(domain, self.decision(domain))
            if pause == 0:
                return
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError(f"{domain} was not allowed to send within {timeout:g} s")
            self._wait_for_change(seen, min(pause, remaining))

    def close(self) -> None:
        """Stop reading. Whoever waits, or asks from now on, gets `GateClosed`."""
        self._closed.set()
        if self._watch is not None:
            self._watch.close()
        self._reader.join()
        self._cache.forget()
        self._announce()

    def _ask(self, domain: str) -> Decision:
        with self._asking[hash(domain) % _LOCKS]:
            # Another thread may have asked meanwhile.
            decision = self._cache.recall(domain)
            if decision is None and not self._closed.is_set():
                self._check(domain)
                decision = self._cache.recall(domain)
        if self._closed.is_set():
            raise errors.GateClosed
        return UNDECIDED if decision is None else decision

    def _check(self, domain: str) -> None:
        asked = self._cache.clock()
        try:
            (answer,) = self._sending.check(domain, min_revision=self._cache.revision)
        except errors.Error as error:
            if self._cache.failed(domain, error):
                _log.warning("messages are held, nobody can tell whether %s may send: %s", domain, error)
        else:
            self._cache.answered(domain, answer, asked)

    def _follow(self) -> None:
        while not self._closed.is_set():
            with self._open_watch() as self._watch:
                try:
                    self._read(self._watch)
                except errors.Error as error:
                    self._cache.forget()
                    _log.warning("the state of the domains is read anew: %s", error)
                    self._closed.wait(PAUSE)

    def _read(self, watch: Watch) -> None:
        for stream in watch.streams():
            # `close` may have come before there was a watch to close.
            if self._closed.is_set():
                return
            self._cache.opened()
            for message in stream:
                self._cache.take(message)
                if message.events or message.snapshot_complete:
                    self._announce()

    def _wait_for_change(self, seen: int, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._changes != seen, timeout)

    def _announce(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
