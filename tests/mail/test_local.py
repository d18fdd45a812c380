"""The mail provider that needs nothing."""

import re

from service.core.records import Identity
from service.mail import LocalMailProvider
from service.ports import IdentityRef, ProviderState

REF = IdentityRef("mail.example.com", "eu-west-1")


def _identity(secret: bytes, ref: IdentityRef) -> Identity:
    return LocalMailProvider(secret).create_identity(ref).identity


def test_an_identity_is_always_the_same() -> None:
    """Making it again adopts the one there is, in every process of one database."""
    assert _identity(b"secret", REF) == _identity(b"secret", REF)


def test_tokens_look_like_those_of_ses() -> None:
    """Three different labels of 32 lower-case characters, in the zone that SES publishes keys in."""
    identity = _identity(b"secret", REF)
    assert len(set(identity.dkim_tokens)) == 3
    assert all(re.fullmatch("[a-z2-7]{32}", token) for token in identity.dkim_tokens)
    assert identity.dkim_zone == "dkim.amazonses.com"
    assert identity.feedback_host == "feedback-smtp.eu-west-1.amazonses.com"


def test_tokens_cannot_be_guessed_from_anothers() -> None:
    """Another domain, region or database has other tokens."""
    others = (
        _identity(b"secret", IdentityRef("example.com", REF.region)),
        _identity(b"secret", IdentityRef(REF.name, "eu-west-2")),
        _identity(b"another", REF),
    )
    mine = set(_identity(b"secret", REF).dkim_tokens)
    assert not any(mine & set(other.dkim_tokens) for other in others)


def test_every_identity_is_ready() -> None:
    """It lets every domain send at once."""
    assert LocalMailProvider(b"secret").states([REF]) == {REF: ProviderState.READY}
