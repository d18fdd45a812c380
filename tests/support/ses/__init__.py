"""Amazon SES v2 as tests need it: an HTTP server with identities whose statuses move when told."""

from tests.support.ses.faults import Broken
from tests.support.ses.server import SesServer
from tests.support.ses.state import Call, Identity, MailFrom

__all__ = ["Broken", "Call", "Identity", "MailFrom", "SesServer"]
