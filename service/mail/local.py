"""A mail provider that needs nothing: it accepts every domain at once.

For development, tests and demonstrations. Its records have the form of Amazon
SES's, so that everything around it behaves as in earnest.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import timedelta

from service.core.records import Identity
from service.ports import FoundIdentity, IdentityRef, ProviderState

SES_REGIONS = frozenset(
    {
        "af-south-1",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-south-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "il-central-1",
        "me-south-1",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-gov-west-1",
        "us-west-1",
        "us-west-2",
    }
)
"""Where Amazon SES can be (AWS General Reference, "Amazon SES endpoints and quotas")."""

_TOKENS = 3


class LocalMailProvider:
    """`MailProvider` and `ProviderStates` without a provider.

    Identities follow from the database's secret: each is always there, and ready.
    """

    def __init__(self, secret: bytes, regions: frozenset[str] = SES_REGIONS) -> None:
        """Take a secret, so that DKIM tokens cannot be foretold, and where domains may be created."""
        self.regions = regions
        self._secret = secret

    def create_identity(self, ref: IdentityRef, *, wait: timedelta | None = None) -> FoundIdentity:  # noqa: ARG002 - the port's, and of no use here
        """Return the identity, of which there is one for a name and region, whoever asks."""
        return self.find_identity(ref)

    def find_identity(self, ref: IdentityRef) -> FoundIdentity:
        """Return the identity as it would be made."""
        return FoundIdentity(
            identity=self._identity(ref), state=ProviderState.READY, is_ours=True, mail_from=ref.name
        )

    def restart_identity(self, ref: IdentityRef) -> Identity:
        """Return the identity: it has never failed."""
        return self._identity(ref)

    def set_mail_from(self, ref: IdentityRef, host: str) -> None:
        """Do nothing: nothing is sent."""

    def delete_identity(self, ref: IdentityRef) -> None:
        """Do nothing: there is nothing that could be left."""

    def states(self, refs: Sequence[IdentityRef]) -> Mapping[IdentityRef, ProviderState]:
        """Return READY for every identity."""
        return dict.fromkeys(refs, ProviderState.READY)

    def _identity(self, ref: IdentityRef) -> Identity:
        return Identity(
            dkim_tokens=tuple(self._token(ref, number) for number in range(_TOKENS)),
            dkim_zone="dkim.amazonses.com",
            feedback_host=f"feedback-smtp.{ref.region}.amazonses.com",
            spf_include="amazonses.com",
        )

    def _token(self, ref: IdentityRef, number: int) -> str:
        """Return 32 characters that are valid in a DNS label, as SES's tokens are."""
        subject = f"dkim\0{ref.region}\0{ref.name}\0{number}".encode()
        return base64.b32encode(hmac.digest(self._secret, subject, "sha256"))[:32].decode().lower()
