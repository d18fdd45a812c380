"""Removes identities at the mail provider that no domain needs any more."""

import threading
from datetime import timedelta

import structlog

from service import ports
from service.core.errors import ServiceError

_log = structlog.get_logger(__name__)

_PAUSE = 1.0
"""Between two looks for what is due, in seconds."""
_FIRST_DELAY = timedelta(seconds=5)
_LONGEST_DELAY = timedelta(hours=1)


class IdentityRemover(threading.Thread):
    """Carries out what the store has noted, until it is done. Any number of processes share it."""

    def __init__(
        self,
        *,
        identities: ports.IdentityStore,
        provider: ports.MailProvider,
        clock: ports.Clock,
        lease: timedelta,
    ) -> None:
        """Take the ports, and for how long a removal is taken; nothing runs before `start`."""
        super().__init__(name="removal", daemon=True)
        self._identities = identities
        self._provider = provider
        self._clock = clock
        self._lease = lease
        self._ended = threading.Event()

    def end(self) -> None:
        """Stop, and wait until it has stopped."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Remove until ended. An error of the database is waited out."""
        while not self._ended.wait(_PAUSE):
            try:
                while not self._ended.is_set() and self.remove_one():
                    pass
            except ServiceError as error:
                _log.warning("removal_interrupted", reason=error.reason)

    def remove_one(self) -> bool:
        """Remove one identity that is due, or put it off where the provider fails; False where none is.

        Raises:
            ServiceError: what the store raises. A removal that was begun is
                then due again when its lease ends.

        """
        removal = self._identities.take_removal(self._clock.now(), self._lease)
        if removal is None:
            return False
        seen = {"name": removal.ref.name, "region": removal.ref.region}
        try:
            self._provider.delete_identity(removal.ref)
        except Exception as error:  # noqa: BLE001 - whatever it is, the identity is still to be removed
            reason = error.reason if isinstance(error, ServiceError) else None
            _log.warning("identity_removal_failed", **seen, reason=reason, exc_info=reason is None)
            self._identities.put_off(removal, self._clock.now() + _delay(removal.failures))
        else:
            self._identities.finish(removal)
            _log.info("identity_removed", **seen)
        return True


def _delay(failures: int) -> timedelta:
    return min(_FIRST_DELAY * 2.0 ** min(failures, 20), _LONGEST_DELAY)
