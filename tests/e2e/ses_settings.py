"""Settings of a server that uses the double of Amazon SES."""

from tests.e2e.conftest import HASTE
from tests.support.ses import SesServer

HERE, THERE = "eu-west-1", "eu-south-1"


def settings(ses: SesServer, **others: str) -> dict[str, str]:
    """Return them, with which it asks as often as it likes and looks again at once."""
    return {
        **HASTE,
        "KRAITER_MAIL_PROVIDER": "ses",
        "KRAITER_REGION": HERE,
        "KRAITER_REGIONS": f"{HERE},{THERE}",
        "KRAITER_SES_ENDPOINT_URL": ses.url,
        "KRAITER_SES_RATE": "100",
        "KRAITER_SES_TIMEOUT": "1s",
        "KRAITER_SES_POLL_INTERVAL": "200ms",
        "KRAITER_IDENTITY_LEASE": "4s",
        "KRAITER_IDENTITY_RESERVATION": "1s",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        **others,
    }
