"""Opaque tokens: resume tokens of a watch and page tokens of a list.

A token is sealed with the database's secret, so that nobody can make one up,
and carries the database's epoch and the tenant, so that none works elsewhere.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence

from service.core.errors import Reason, ServiceError

_VERSION = 1
_SEAL_SIZE = 16
_LONGEST = 4096
_RESUME = "r"
_PAGE = "p"


class TokenSealer:
    """Makes and opens the tokens of one database."""

    def __init__(self, *, epoch: str, secret: bytes) -> None:
        """Take what identifies the database."""
        self._epoch = epoch
        self._key = hashlib.sha256(b"kraiter-token:" + secret).digest()

    def resume(self, tenant: str, revision: int) -> str:
        """Return the token of a stream that is complete through `revision`."""
        return self._seal([_RESUME, tenant, revision])

    def open_resume(self, text: str, tenant: str) -> int:
        """Return the revision that a resume token is complete through.

        Raises:
            ServiceError: INVALID_RESUME_TOKEN for a token that was tampered
                with, or belongs to another tenant or database.

        """
        match self._open(text):
            case [kind, owner, int(revision)] if kind == _RESUME and owner == tenant:
                return revision
            case _:
                raise _refused(Reason.INVALID_RESUME_TOKEN, "resume_token")

    def page(self, tenant: str, query: Sequence[object], position: str) -> str:
        """Return the token of the page after `position` in the list of a query."""
        return self._seal([_PAGE, tenant, _digest(query), position])

    def open_page(self, text: str, tenant: str, query: Sequence[object]) -> str:
        """Return the position that a page token continues after.

        Raises:
            ServiceError: INVALID_PAGE_TOKEN for a token that was tampered
                with, or belongs to another tenant, database or query.

        """
        match self._open(text):
            case [kind, owner, digest, str(position)] if (
                kind == _PAGE and owner == tenant and digest == _digest(query)
            ):
                return position
            case _:
                raise _refused(Reason.INVALID_PAGE_TOKEN, "page_token")

    def _seal(self, content: list[object]) -> str:
        body = json.dumps([_VERSION, self._epoch, *content], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(body) + body).rstrip(b"=").decode()

    def _open(self, text: str) -> list[object] | None:
        if len(text) > _LONGEST or not text.isascii():
            return None
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        seal, body = raw[:_SEAL_SIZE], raw[_SEAL_SIZE:]
        if not hmac.compare_digest(seal, self._sign(body)):
            return None
        version, epoch, *content = json.loads(body)
        return content if (version, epoch) == (_VERSION, self._epoch) else None

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_SEAL_SIZE]


def _digest(query: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(query).encode()).hexdigest()[:16]


def _refused(reason: Reason, field: str) -> ServiceError:
    return ServiceError(
        reason,
        f"{field} was not made here: it is damaged, or belongs to another tenant, query or database",
        metadata={"field": field},
    )
