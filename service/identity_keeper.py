"""Makes identities at the mail provider what the store says that they have to be."""

import threading
from datetime import timedelta

import structlog

from service import ports
from service.core import lifecycle
from service.core.domain import Domain, Moved
from service.core.errors import Reason, ServiceError
from service.core.records import Identity

_log = structlog.get_logger(__name__)

_PAUSE = 1.0
"""Between two looks for what is due, in seconds."""
_FIRST_DELAY = timedelta(seconds=5)
_LONGEST_DELAY = timedelta(hours=1)


class IdentityKeeper(threading.Thread):
    """Sees to identities that are due, until each is what it has to be. Any number of processes share it.

    It reads an identity before it changes anything, so that a change is made
    once, whoever was killed while making it.
    """

    def __init__(
        self,
        *,
        identities: ports.IdentityStore,
        domains: ports.DomainStore,
        provider: ports.MailProvider,
        clock: ports.Clock,
        policy: lifecycle.Policy,
        lease: timedelta,
        region: str | None = None,
    ) -> None:
        """Take the ports, for how long an identity is taken, and the region to keep to (None: all).

        Where a region does not answer, those of others need not wait for it:
        each has a keeper of its own. Nothing runs before `start`.
        """
        super().__init__(name=f"keeper-{region or 'all'}", daemon=True)
        self._identities = identities
        self._domains = domains
        self._provider = provider
        self._clock = clock
        self._policy = policy
        self._lease = lease
        self._region = region
        self._ended = threading.Event()

    def end(self) -> None:
        """Stop, and wait until it has stopped."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """See to what is due until ended. An error of the database is waited out."""
        while not self._ended.wait(_PAUSE):
            try:
                while not self._ended.is_set() and self.see_to_one():
                    pass
            except ServiceError as error:
                _log.warning("keeper_interrupted", reason=error.reason)

    def see_to_one(self) -> bool:
        """See to one identity that is due, or put it off where the provider fails; False where none is.

        Raises:
            ServiceError: what the store raises. The identity is then due again
                when its lease ends.

        """
        work = self._identities.take_due(self._clock.now(), self._lease, self._region)
        if work is None:
            return False
        seen = {"name": work.ref.name, "region": work.ref.region}
        turn = _Turn(self._provider, work)
        try:
            turn.begin()
            # Whatever becomes of the envelope sender.
            self._tell_domains(work, turn.identity)
            turn.end()
        except Exception as error:  # noqa: BLE001 - whatever it is, the identity is still to be seen to
            reason = error.reason if isinstance(error, ServiceError) else None
            _log.warning("identity_put_off", **seen, reason=reason, why=str(error), exc_info=reason is None)
            self._identities.put_off(work, self._clock.now() + _delay(work.failures), turn.state)
        else:
            self._identities.finish(work, self._clock.now(), turn.state)
        for done in turn.done:
            _log.info(done, **seen)
        return True

    def _tell_domains(self, work: ports.IdentityWork, identity: Identity | None) -> None:
        """Give the domains the records of the identity, should it have others than before."""
        # Without keys it is not the provider that makes them: see PROVIDER_CONFLICT.
        if work.wanted is None or identity is None or not identity.dkim_tokens:
            return
        now = self._clock.now()

        def rekey(domain: Domain) -> Moved:
            # It may have been deleted meanwhile, and created in another region.
            if domain.region != work.ref.region:
                return Moved(domain)
            return lifecycle.rekeyed(domain, identity, now=now, policy=self._policy)

        for tenant in work.wanted.tenants:
            try:
                self._domains.change(tenant, work.ref.name, rekey)
            except ServiceError as error:
                if error.reason is not Reason.DOMAIN_NOT_FOUND:  # it was deleted meanwhile
                    raise


class _Turn:
    """What is done about one identity, and what is learnt of it on the way."""

    def __init__(self, provider: ports.MailProvider, work: ports.IdentityWork) -> None:
        self._provider = provider
        self._ref = work.ref
        self._wanted = work.wanted
        self.state: ports.ProviderState | None = None
        self.identity: Identity | None = None
        self.done: list[str] = []
        self._found: ports.FoundIdentity | None = None

    def begin(self) -> None:
        """Have the identity there, and looked for by the provider; or remove it."""
        found = self._provider.find_identity(self._ref)
        if self._wanted is None:
            self._remove(found)
            return
        if found is None:
            # Until it is there again its domains may not send.
            self.state = ports.ProviderState.REVOKED
            found = self._provider.create_identity(self._ref)
            self.done.append("identity_created")
        self._found = found
        self.state, self.identity = found.state, found.identity
        # One that signs with keys of its own is not ours to look after.
        if found.state is ports.ProviderState.REVOKED and found.identity.dkim_tokens:
            self.identity = self._provider.restart_identity(self._ref)
            self.state = ports.ProviderState.PENDING
            self.done.append("identity_restarted")

    def end(self) -> None:
        """Have its envelope sender as it has to be."""
        if self._wanted is None or self._wanted.mail_from is None or self._found is None:
            return
        wanted = self._wanted.mail_from
        if self._found.mail_from_failed or wanted != self._found.mail_from:
            self._provider.set_mail_from(self._ref, wanted)
            self.done.append("mail_from_set")

    def _remove(self, found: ports.FoundIdentity | None) -> None:
        # What was there before us, or belongs to another, is not ours to delete.
        if found is not None and found.is_ours:
            self._provider.delete_identity(self._ref)
            self.done.append("identity_removed")


def _delay(failures: int) -> timedelta:
    return min(_FIRST_DELAY * 2.0 ** min(failures, 20), _LONGEST_DELAY)
