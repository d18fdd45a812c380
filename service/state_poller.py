"""Learns from the mail provider, in bulk, what it says of its identities."""

import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import structlog

from service import ports
from service.core.errors import Reason, ServiceError

_log = structlog.get_logger(__name__)

_PAUSE = 1.0
"""Between two looks whether a poll is due, in seconds; and at most before a page is asked for again."""
_FRESH = 4
"""For how many intervals states count. What is older is as good as unknown."""
_FRESH_LISTS = 2
"""As many times as long as their list took they count at least: the next may fail half way."""
_TRIES = 5
"""How often one page is asked for. All that was read before would be lost without it."""


class StatePoller(threading.Thread):
    """Lists the identities of one region again and again. One process at a time does, under a lease."""

    def __init__(
        self,
        *,
        region: str,
        identities: ports.IdentityStore,
        lister: ports.IdentityLister,
        clock: ports.Clock,
        interval: timedelta,
        lease: timedelta,
    ) -> None:
        """Take the region, the ports, from one list to the next, and how long one page may take.

        Nothing runs before `start`.
        """
        super().__init__(name=f"poller-{region}", daemon=True)
        self._region = region
        self._identities = identities
        self._lister = lister
        self._clock = clock
        self._interval = interval
        self._lease = lease
        self._ended = threading.Event()

    def end(self) -> None:
        """Stop, and wait until it has stopped."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Poll until ended. An error of the database is waited out."""
        while not self._ended.wait(min(_PAUSE, self._interval.total_seconds())):
            try:
                self.poll_if_due()
            except ServiceError as error:
                _log.warning("poller_interrupted", region=self._region, reason=error.reason)

    def poll_if_due(self) -> bool:
        """List the region's identities, if that is due, and note what is news; False where it is not.

        Raises:
            ServiceError: what the store raises. The region is then due again
                when the lease ends.

        """
        begun = self._clock.now()
        poll = self._identities.take_poll(self._region, begun, self._lease)
        if poll is None:
            return False
        # Where the list fails, what it has prolonged counts no longer than before.
        fresh_until = poll.fresh_until
        try:
            # Nothing to be asked about: not even whether the provider answers.
            if poll.known:
                self._list(poll, at_once=fresh_until is not None and fresh_until >= begun)
        except _LostError:
            _log.warning("poll_lost", region=self._region)
        except Exception as error:  # noqa: BLE001 - whatever it is, others must go on
            reason = error.reason if isinstance(error, ServiceError) else None
            _log.warning("poll_failed", region=self._region, reason=reason, exc_info=reason is None)
        else:
            fresh_until = self._fresh_until(begun)
        self._identities.end_poll(poll, begun + self._interval, fresh_until)
        return True

    def _fresh_until(self, begun: datetime) -> datetime:
        """Return until when states count of a list that ends now."""
        now = self._clock.now()
        return now + max(_FRESH * self._interval, _FRESH_LISTS * (now - begun))

    def _list(self, poll: ports.StatePoll, *, at_once: bool) -> None:
        """Note what is news, page by page or in the end, and then what is on no page.

        Where states do not count until the list is over, whoever was told
        before would look in vain.

        Raises:
            ServiceError: of the provider, or the store.
            _LostError: another process has the region.

        """
        missing = set(poll.known)
        held: dict[str, ports.ProviderState] = {}
        for states in self._pages():
            self._renew(poll)
            missing -= states.keys()
            if at_once:
                self._save(poll, states)
            else:
                held |= states
        self._save(poll, held)
        self._identities.save_states(poll, self._clock.now(), changed={}, missing=missing)
        if missing:
            _log.info("identities_missing", region=self._region, count=len(missing))

    def _pages(self) -> Iterator[Mapping[str, ports.ProviderState]]:
        """Yield what each page says; nothing for one that has to be asked for again."""
        page: str | None = None
        tries = 0
        while True:
            tries += 1
            try:
                listed = self._lister.list_states(self._region, page)
            except ServiceError as error:
                # A provider that does not answer at all is left alone.
                is_worthwhile = error.reason is Reason.PROVIDER_LIMIT or page is not None
                if not is_worthwhile or tries == _TRIES or self._ended.wait(_pause(error)):
                    raise
                yield {}
                continue
            yield listed.states
            if listed.next_page is None:
                return
            page, tries = listed.next_page, 0

    def _renew(self, poll: ports.StatePoll) -> None:
        now = self._clock.now()
        fresh_until = now + _FRESH * self._interval
        if not self._identities.renew_poll(poll, now, due=now + self._lease, fresh_until=fresh_until):
            raise _LostError

    def _save(self, poll: ports.StatePoll, states: Mapping[str, ports.ProviderState]) -> None:
        changed = {
            name: state
            for name, state in states.items()
            if (known := poll.known.get(name)) is not None and state is not known.state
        }
        self._identities.save_states(poll, self._clock.now(), changed=changed, missing=())
        if changed:
            _log.info("states_changed", region=self._region, changed=len(changed))


class _LostError(Exception):
    """The lease ran out, and another process has taken the region."""


def _pause(error: ServiceError) -> float:
    """Return how long to wait before a page is asked for again, in seconds."""
    return min((error.retry_after or timedelta()).total_seconds(), _PAUSE)
