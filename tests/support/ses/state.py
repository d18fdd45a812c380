"""An account at Amazon SES: its regions with their identities, which tests look at and move."""

import hmac
import secrets
from base64 import b32encode
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any, NamedTuple

_IDENTITIES = 10_000
_DKIM_ZONE = "dkim.amazonses.com"
_ZONES = {region: f"dkim.{region}.amazonses.com" for region in ("af-south-1", "eu-south-1")}
_TOKENS = 3
_TOKEN_OCTETS = 20


class Call(NamedTuple):
    """A request that came in, whatever became of it."""

    operation: str
    name: str
    """The identity, empty where the operation is about none."""


@dataclass(frozen=True, slots=True)
class MailFrom:
    """A MAIL FROM domain."""

    domain: str
    behavior: str = "USE_DEFAULT_VALUE"
    status: str = "PENDING"


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity, in the words of the service."""

    name: str
    type: str
    tokens: tuple[str, ...]
    """The DKIM tokens; the selector, where the origin is EXTERNAL."""
    zone: str | None
    """Where the DKIM keys are published: SigningHostedZone."""
    origin: str = "AWS_SES"
    status: str = "PENDING"
    """Of verification, which for a domain is that of DKIM."""
    verified: bool = False
    """VerifiedForSendingStatus."""
    error: str | None = None
    """The ErrorType of VerificationInfo."""
    mail_from: MailFrom | None = None
    configuration_set: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Region:
    """One region. Read and change it under the lock of its account only."""

    name: str
    secret: bytes
    """What tokens are made of, so that a name has the same ones each time it is created."""
    zone: str
    limit: int = _IDENTITIES
    identities: dict[str, Identity] = field(default_factory=dict)
    configuration_sets: set[str] = field(default_factory=set)
    account: dict[str, Any] = field(default_factory=dict)
    """What GetAccount tells otherwise than usual."""

    def make(self, name: str) -> Identity:
        """Return an identity as the service begins with it; it is not kept."""
        if "@" in name:
            return Identity(name, "EMAIL_ADDRESS", (), None)
        return Identity(name, "DOMAIN", self.tokens(name), self.zone)

    def tokens(self, name: str) -> tuple[str, ...]:
        """Return the DKIM tokens that a domain has here."""
        return tuple(
            b32encode(hmac.digest(self.secret, f"{number} {name}".encode(), "sha256")[:_TOKEN_OCTETS])
            .decode()
            .lower()
            for number in range(_TOKENS)
        )


class Account:
    """What tests tell and ask of the account; any thread may."""

    def __init__(self) -> None:
        """Begin without identities."""
        self._lock = RLock()
        self._regions: dict[str, Region] = {}
        self._calls: defaultdict[str, list[Call]] = defaultdict(list)
        self._errors: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, region: str, name: str, **attributes: Any) -> Identity:
        """Have an identity that somebody else made, with attributes of `Identity`; it may replace one."""
        attributes.setdefault("verified", attributes.get("status") == "SUCCESS")
        if attributes.get("origin") == "EXTERNAL":
            attributes = {"tokens": ("selector",), "zone": None, **attributes}
        with self._lock:
            here = self._region(region)
            made = replace(here.make(name), **attributes)
            here.identities[name] = made
        return made

    def identities(self, region: str) -> dict[str, Identity]:
        """Return the identities there are now, by name."""
        with self._lock:
            return dict(self._region(region).identities)

    def set_status(
        self, region: str, name: str, status: str, *, verified: bool | None = None, error: str | None = None
    ) -> None:
        """Move the verification of an identity; mail may be sent with SUCCESS only, if not told."""
        may_send = status == "SUCCESS" if verified is None else verified
        self._change(region, name, status=status, verified=may_send, error=error)

    def set_mail_from_status(self, region: str, name: str, status: str) -> None:
        """Move the check of the MAIL FROM domain that an identity has."""
        with self._lock:
            mail_from = self._region(region).identities[name].mail_from
            assert mail_from is not None, f"{name} has no MAIL FROM domain"
            self._change(region, name, mail_from=replace(mail_from, status=status))

    def set_limit(self, region: str, identities: int) -> None:
        """Let a region have so many identities at most."""
        with self._lock:
            self._region(region).limit = identities

    def set_zone(self, region: str, zone: str) -> None:
        """Publish the DKIM keys of identities that are created from now on in another zone."""
        with self._lock:
            self._region(region).zone = zone

    def set_account(self, region: str, **members: Any) -> None:
        """Have GetAccount tell these members otherwise, e.g. `SendingEnabled=False`."""
        with self._lock:
            self._region(region).account.update(members)

    def add_configuration_set(self, region: str, name: str) -> None:
        """Have a configuration set, which identities may be created with."""
        with self._lock:
            self._region(region).configuration_sets.add(name)

    def calls(self, region: str) -> list[Call]:
        """Return the requests that came in, in order, those without a good answer too."""
        with self._lock:
            return list(self._calls[region])

    def counts(self, region: str) -> Counter[str]:
        """Count the requests that came in, by operation."""
        return Counter(call.operation for call in self.calls(region))

    def errors(self, region: str) -> Counter[str]:
        """Count the errors that were answered, by their name."""
        with self._lock:
            return Counter(self._errors[region])

    def reset_calls(self) -> None:
        """Forget the requests and errors so far."""
        with self._lock:
            self._calls.clear()
            self._errors.clear()

    def _region(self, name: str) -> Region:
        if name not in self._regions:
            self._regions[name] = Region(name, secrets.token_bytes(), _ZONES.get(name, _DKIM_ZONE))
        return self._regions[name]

    def _change(self, region: str, name: str, **attributes: Any) -> None:
        with self._lock:
            identities = self._region(region).identities
            identities[name] = replace(identities[name], **attributes)
