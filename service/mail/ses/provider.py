"""`MailProvider` on Amazon SES: identities in several regions of one account."""

import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from service.core.errors import Reason, ServiceError, Violation, invalid_field
from service.core.records import Identity
from service.mail.ses.client import RefusedError, RegionClient
from service.ports import FoundIdentity, IdentityRef, ListedStates, ProviderState

T = TypeVar("T")

_TAG = "kraiter:installation"
"""Key of the tag by which we know our identities again."""
_PAGE = 1000
"""The most identities that one list has (SES v2 API, ListEmailIdentities)."""
_EASY_DKIM = "AWS_SES"
"""Origin of keys that SES makes itself; of an identity that follows one of another region, how it begins."""

_STATES = {
    "SUCCESS": ProviderState.READY,
    "TEMPORARY_FAILURE": ProviderState.FALTERING,
    "PENDING": ProviderState.PENDING,
    "NOT_STARTED": ProviderState.PENDING,
    "FAILED": ProviderState.REVOKED,
}
"""What SES calls them (SES v2 API, EmailIdentity, VerificationStatus)."""


class SesMailProvider:
    """`MailProvider` and `IdentityLister`."""

    def __init__(
        self,
        regions: frozenset[str],
        connect: Callable[[str], Any],
        *,
        secret: bytes,
        rate: float = 1.0,
        timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        """Take the regions of new identities, what makes the client of a region, and the database's secret.

        `rate` is how many requests a second each region takes; `timeout` is how
        long one may take. Identities are tagged with what follows from the
        secret, so that nobody deletes those of another installation.
        """
        self.regions = regions
        self._installation = hmac.digest(secret, b"provider identities", "sha256").hex()[:32]
        self._new_client = partial(RegionClient, connect=connect, rate=rate, timeout=timeout)
        self._clients: dict[str, RegionClient] = {}
        self._making = threading.Lock()

    def create_identity(self, ref: IdentityRef, *, wait: timedelta | None = None) -> FoundIdentity:
        """See `MailProvider.create_identity`."""
        until = None if wait is None else time.monotonic() + wait.total_seconds()
        tags = [{"Key": _TAG, "Value": self._installation}]

        def read(answer: Mapping[str, Any]) -> FoundIdentity:
            return FoundIdentity(
                identity=_identity(ref, answer["DkimAttributes"]["Tokens"], answer["DkimAttributes"]),
                state=ProviderState.PENDING,
                is_ours=True,
                mail_from=ref.name,
            )

        try:
            return self._client(ref.region).call(
                "create_email_identity", read, until=until, EmailIdentity=ref.name, Tags=tags
            )
        except RefusedError as refused:
            if refused.code == "AlreadyExistsException":
                return self._adopt(ref, until)
            if refused.code == "BadRequestException":
                raise invalid_field(
                    "domain", f"Amazon SES does not take {ref.name} as an identity"
                ) from refused
            raise _odd(ref, refused) from refused

    def _adopt(self, ref: IdentityRef, until: float | None) -> FoundIdentity:
        found, origin = self._find(ref, until) or (None, "")
        if found is None:
            raise ServiceError(
                Reason.CONCURRENT_CHANGE,
                f"the identity of {ref.name} was deleted at the same time: try again",
                retry_after=timedelta(seconds=1),
            )
        if not origin.startswith(_EASY_DKIM):
            raise ServiceError(
                Reason.PROVIDER_CONFLICT,
                f"Amazon SES in {ref.region} has an identity of {ref.name} that signs with keys of its own "
                "(BYODKIM): have it sign with Easy DKIM, or delete it, and try again",
                metadata={"domain": ref.name, "region": ref.region},
                violations=[Violation(f"identities/{ref.name}", "signs with keys of its own (BYODKIM)")],
            )
        # One that was verified in another way has no tokens until it is told to sign.
        return found if found.identity.dkim_tokens else replace(found, identity=self._sign(ref, until))

    def find_identity(self, ref: IdentityRef) -> FoundIdentity | None:
        """See `MailProvider.find_identity`."""
        found = self._find(ref, None)
        return None if found is None else found[0]

    def _find(self, ref: IdentityRef, until: float | None) -> tuple[FoundIdentity, str] | None:
        """Return an identity, and who makes the keys that it signs with; None where there is none."""

        def read(answer: Mapping[str, Any]) -> tuple[FoundIdentity, str]:
            dkim = answer["DkimAttributes"]
            origin = dkim["SigningAttributesOrigin"]
            # What stands there for keys of its own are selectors.
            tokens = dkim.get("Tokens", ()) if origin.startswith(_EASY_DKIM) else ()
            mail_from = answer.get("MailFromAttributes", {})
            tags = {tag["Key"]: tag["Value"] for tag in answer.get("Tags", ())}
            found = FoundIdentity(
                identity=_identity(ref, tokens, dkim),
                state=_state(answer["VerificationStatus"], answer["VerifiedForSendingStatus"]),
                is_ours=self.is_ours(tags),
                mail_from=mail_from.get("MailFromDomain") or ref.name,
                mail_from_failed=mail_from.get("MailFromDomainStatus") == "FAILED",
            )
            return found, origin

        try:
            return self._client(ref.region).call(
                "get_email_identity", read, until=until, EmailIdentity=ref.name
            )
        except RefusedError as refused:
            if refused.code == "NotFoundException":
                return None
            raise _odd(ref, refused) from refused

    def is_ours(self, tags: Mapping[str, str]) -> bool:
        """Return whether this installation made an identity with these tags."""
        return tags.get(_TAG) == self._installation

    def restart_identity(self, ref: IdentityRef) -> Identity:
        """See `MailProvider.restart_identity`."""
        return self._sign(ref, None)

    def _sign(self, ref: IdentityRef, until: float | None) -> Identity:
        return self._change(
            "put_email_identity_dkim_signing_attributes",
            ref,
            lambda answer: _identity(ref, answer["DkimTokens"], answer),
            until=until,
            SigningAttributesOrigin=_EASY_DKIM,
        )

    def set_mail_from(self, ref: IdentityRef, host: str) -> None:
        """See `MailProvider.set_mail_from`."""
        # Its own name cannot be one: SES then uses a host of its own, as it does without any.
        chosen = {} if host == ref.name else {"MailFromDomain": host}
        self._change(
            "put_email_identity_mail_from_attributes",
            ref,
            lambda _: None,
            until=None,
            BehaviorOnMxFailure="USE_DEFAULT_VALUE",
            **chosen,
        )

    def delete_identity(self, ref: IdentityRef) -> None:
        """See `MailProvider.delete_identity`."""
        try:
            self._client(ref.region).call(
                "delete_email_identity", lambda _: None, until=None, EmailIdentity=ref.name
            )
        except RefusedError as refused:
            if refused.code != "NotFoundException":
                raise _odd(ref, refused) from refused

    def list_states(self, region: str, page: str | None = None) -> ListedStates:
        """See `IdentityLister.list_states`."""

        def read(answer: Mapping[str, Any]) -> ListedStates:
            states = {
                each["IdentityName"]: _state(each["VerificationStatus"], each["SendingEnabled"])
                for each in answer["EmailIdentities"]
                if each["IdentityType"] != "EMAIL_ADDRESS"
            }
            return ListedStates(states, answer.get("NextToken") or None)

        chosen = {} if page is None else {"NextToken": page}
        try:
            return self._client(region).call(
                "list_email_identities", read, until=None, PageSize=_PAGE, **chosen
            )
        except RefusedError as refused:
            raise _odd(IdentityRef("", region), refused) from refused

    def close(self) -> None:
        """Send away who waits for a turn: nothing may be asked afterwards."""
        with self._making:
            for client in self._clients.values():
                client.close()

    def _change(
        self,
        operation: str,
        ref: IdentityRef,
        read: Callable[[Mapping[str, Any]], T],
        *,
        until: float | None,
        **parameters: Any,
    ) -> T:
        try:
            return self._client(ref.region).call(
                operation, read, until=until, EmailIdentity=ref.name, **parameters
            )
        except RefusedError as refused:
            raise _odd(ref, refused) from refused

    def _client(self, region: str) -> RegionClient:
        with self._making:
            if region not in self._clients:
                self._clients[region] = self._new_client(region)
            return self._clients[region]


def _identity(ref: IdentityRef, tokens: Any, dkim: Mapping[str, Any]) -> Identity:
    return Identity(
        dkim_tokens=tuple(tokens),
        dkim_zone=dkim["SigningHostedZone"] if tokens else "",
        feedback_host=f"feedback-smtp.{ref.region}.amazonses.com",
        spf_include="amazonses.com",
    )


def _state(status: str, may_send: bool) -> ProviderState:  # noqa: FBT001 - as SES tells it
    state = _STATES[status]
    # It may have found the records and not let send all the same.
    return ProviderState.FALTERING if state is ProviderState.READY and not may_send else state


def _odd(ref: IdentityRef, refused: RefusedError) -> ServiceError:
    """Return the error of a refusal that cannot be: or another has changed the identity meanwhile."""
    return ServiceError(
        Reason.PROVIDER_UNAVAILABLE,
        f"Amazon SES in {ref.region} refuses what was asked of it ({refused.code})",
        metadata={"region": ref.region},
    )
