"""Mail providers: who sends the mail, and holds an identity for each domain."""

from service.mail.local import LocalMailProvider

__all__ = ["LocalMailProvider"]
