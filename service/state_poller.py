"""Learns from the mail provider, in bulk, what it says of its identities."""

import threading
from collections.abc import Mapping
from datetime import timedelta

import structlog

from service import ports
from service.core.errors import ServiceError

_log = structlog.get_logger(__name__)

_PAUSE = 1.0
"""Between two looks whether a poll is due, in seconds."""
_FRESH = 4
"""For how many intervals states count. What is older is as good as unknown."""


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
        """Take the region, the ports, from one list to the next, and how long one may take.

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
        poll = self._identities.take_poll(self._region, self._clock.now(), self._lease)
        if poll is None:
            return False
        begun = self._clock.now()
        fresh_until = None
        try:
            # Nothing to be asked about: not even whether the provider answers.
            listed = self._lister.list_states(self._region) if poll.known else {}
        except Exception as error:  # noqa: BLE001 - whatever it is, others must go on
            reason = error.reason if isinstance(error, ServiceError) else None
            _log.warning("poll_failed", region=self._region, reason=reason, exc_info=reason is None)
        else:
            self._save(poll, listed)
            fresh_until = begun + _FRESH * self._interval
        self._identities.end_poll(poll, begun + self._interval, fresh_until)
        return True

    def _save(self, poll: ports.StatePoll, listed: Mapping[str, ports.ProviderState]) -> None:
        changed = {
            name: state
            for name, known in poll.known.items()
            if (state := listed.get(name)) is not None and state is not known.state
        }
        missing = poll.known.keys() - listed.keys()
        self._identities.save_states(poll, self._clock.now(), changed=changed, missing=missing)
        if changed or missing:
            _log.info("states_changed", region=self._region, changed=len(changed), missing=len(missing))
