"""Looks whether Amazon SES can be used: each permission, quotas, identities. Changes nothing."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from service.core.diagnosis import Diagnosis, failure, ok, warning
from service.mail.ses.probing import Asked, Stopped, ask, permission

_NOBODY = "kraiter-doctor.invalid"
"""A name that no identity can have (RFC 6761, section 6.4)."""
_NO_NAME = "kraiter doctor"
"""No name at all: SES refuses to make an identity of it, after it has looked whether we may make any."""
_MOST_LISTED = 5
_MOST_LOOKED_AT = 100
"""How many identities of no domain are read to see whose they are: each takes a request."""
_PACE = 1.0
"""Seconds between these: what SES takes from an account by default, servers beside us."""
_QUICKLY = 10
"""Of so many nobody has to be told that they take time."""
_QUOTA = 10_000
"""The most identities of a region, of all kinds (Amazon SES Developer Guide, "Service quotas")."""
_NEARLY = 0.8
_WRONG_NAME = frozenset({"BadRequestException", "NotFoundException"})
"""What SES answers about such names to those who may ask."""
_TAGS = [{"Key": "kraiter", "Value": "doctor"}]


class _Probe(NamedTuple):
    """A request without effect: whoever may not make it is refused for that."""

    permission: str
    action: str
    parameters: Mapping[str, Any]
    ends: frozenset[str] = _WRONG_NAME
    """The codes that it ends with where it is allowed."""


_CREATION_ENDS = frozenset({"BadRequestException", "LimitExceededException"})
_PROBES = (
    _Probe("GetAccount", "GetAccount", {}, frozenset()),
    _Probe("ListEmailIdentities", "ListEmailIdentities", {"PageSize": 1}, frozenset()),
    _Probe("GetEmailIdentity", "GetEmailIdentity", {"EmailIdentity": _NOBODY}),
    _Probe("CreateEmailIdentity", "CreateEmailIdentity", {"EmailIdentity": _NO_NAME}, _CREATION_ENDS),
    # The same once more: what it needs besides is the right to tag.
    _Probe(
        "TagResource",
        "CreateEmailIdentity",
        {"EmailIdentity": _NO_NAME, "Tags": _TAGS},
        _CREATION_ENDS,
    ),
    _Probe("DeleteEmailIdentity", "DeleteEmailIdentity", {"EmailIdentity": _NOBODY}),
    _Probe(
        "PutEmailIdentityMailFromAttributes",
        "PutEmailIdentityMailFromAttributes",
        {"EmailIdentity": _NOBODY},
    ),
    _Probe(
        "PutEmailIdentityDkimSigningAttributes",
        "PutEmailIdentityDkimSigningAttributes",
        {"EmailIdentity": _NOBODY, "SigningAttributesOrigin": "AWS_SES"},
    ),
)


class Examination:
    """Of one region."""

    def __init__(
        self,
        region: str,
        client: Any,
        *,
        is_ours: Callable[[Mapping[str, str]], bool],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the region's client, and what tells by its tags whether an identity is ours."""
        self._region = region
        self._client = client
        self._is_ours = is_ours
        self._pause = pause
        self._lacking: set[str] = set()

    def run(self, known: Mapping[str, bool] | None) -> Iterator[Diagnosis]:
        """Yield how the region stands, given the names of our identities, and whether each has to be there.

        None where they are not known: identities are not looked at then.
        """
        try:
            yield from self._permissions()
            if "GetAccount" not in self._lacking:
                yield from self._account()
            if known is not None and "ListEmailIdentities" not in self._lacking:
                yield from self._identities(known)
        except Stopped as stopped:
            yield stopped.diagnosis

    def _permissions(self) -> Iterator[Diagnosis]:
        for probe in _PROBES:
            if probe.permission == "TagResource" and probe.action in self._lacking:
                continue  # it would be refused whether or not
            asked = self._ask(probe.action, ends=probe.ends, **probe.parameters)
            if not asked.is_allowed:
                self._lacking.add(probe.permission)
            yield permission(f"ses:{probe.permission}", asked, f"in {self._region}")

    def _account(self) -> Iterator[Diagnosis]:
        account, subject = self._needed("GetAccount"), f"SES in {self._region}"
        if not account.get("SendingEnabled", True):
            yield failure(subject, "sending is paused for the account", "see the SES console for the reason")
        enforcement = account.get("EnforcementStatus", "HEALTHY")
        if enforcement != "HEALTHY":
            yield warning(subject, f"the account is {enforcement}", "see the SES console for the reason")
        if not account.get("ProductionAccessEnabled", True):
            yield warning(subject, "the account is in the sandbox", "request production access")
        quota = account.get("SendQuota", {})
        most, sent = quota.get("Max24HourSend", 0.0), quota.get("SentLast24Hours", 0.0)
        text = (
            f"{sent:,.0f} of {most:,.0f} messages of 24 hours sent, at most {quota.get('MaxSendRate', 0):g}/s"
        )
        if 0 < most * _NEARLY <= sent:
            yield warning(subject, text, "request a higher sending quota")
        else:
            yield ok(subject, text)

    def _identities(self, known: Mapping[str, bool]) -> Iterator[Diagnosis]:
        listed = self._listed()
        subject = f"identities in {self._region}"
        text = f"{len(listed):,} of {_QUOTA:,}"
        if len(listed) >= _QUOTA * _NEARLY:
            yield warning(subject, text, "request a higher quota, or put new domains into another region")
        else:
            yield ok(subject, text)
        names = {each["IdentityName"] for each in listed if each["IdentityType"] != "EMAIL_ADDRESS"}
        if missing := sorted(name for name, is_needed in known.items() if is_needed and name not in names):
            yield warning(
                subject,
                f"{_few(missing)} should be there and are not",
                "a server that runs makes them again within minutes",
            )
        if strangers := sorted(names - known.keys()):
            yield from self._strangers(strangers)

    def _strangers(self, names: Sequence[str]) -> Iterator[Diagnosis]:
        """Tell of identities that no domain of ours needs."""
        subject = f"identities in {self._region}"
        chosen = [] if "GetEmailIdentity" in self._lacking else _spread(names, _MOST_LOOKED_AT)
        if len(chosen) > _QUICKLY:
            yield ok(
                subject, f"{len(names):,} belong to no domain: {len(chosen)} are looked at, one a second"
            )
        looked: dict[str, Mapping[str, Any]] = {}
        try:
            for name in chosen:
                self._pause(_PACE)
                looked[name] = self._needed("GetEmailIdentity", ends=_WRONG_NAME, EmailIdentity=name)
        except Stopped as stopped:
            yield stopped.diagnosis
        # Without an answer are those that have gone meanwhile.
        found = {name: _tags(identity) for name, identity in looked.items() if identity}
        ours = [name for name, tags in found.items() if self._is_ours(tags)]
        if ours:
            yield warning(
                subject,
                f"{_few(ours)} were made by this installation, and no domain needs them",
                "after a restore create the domains again, which adopts them, or delete them by hand",
            )
        if len(found) > len(ours):
            yield ok(subject, f"{len(found) - len(ours)} are others', and left alone")
        if len(names) > len(looked):
            yield ok(subject, f"{len(names) - len(looked):,} of no domain were not looked at")

    def _listed(self) -> Sequence[Mapping[str, str]]:
        found: list[Mapping[str, str]] = []
        page: dict[str, Any] = {}
        while True:
            answer = self._needed("ListEmailIdentities", PageSize=1000, **page)
            found += answer["EmailIdentities"]
            if not answer.get("NextToken"):
                return found
            page = {"NextToken": answer["NextToken"]}

    def _needed(self, action: str, **parameters: Any) -> Mapping[str, Any]:
        """Return the answer to a request that was allowed when it was tried.

        Raises:
            Stopped: there is none.

        """
        asked = self._ask(action, **parameters)
        if not asked.is_allowed:
            raise Stopped(permission(f"ses:{action}", asked, f"in {self._region}"))
        return asked.answer

    def _ask(self, action: str, *, ends: Collection[str] = (), **parameters: Any) -> Asked:
        """See `ask`."""
        subject = f"SES in {self._region}"
        return ask(self._client, action, subject, ends=ends, pause=self._pause, **parameters)


def _tags(identity: Mapping[str, Any]) -> Mapping[str, str]:
    return {tag["Key"]: tag["Value"] for tag in identity.get("Tags", ())}


def _spread(names: Sequence[str], most: int) -> Sequence[str]:
    """Return so many from all over: those of others may all begin with the same letters."""
    count = min(len(names), most)
    return [names[number * len(names) // count] for number in range(count)]


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_LISTED])
    return f"{shown} and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else shown
