"""Ten thousand identities at Amazon SES: how many requests it takes to know how they are."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import insert

from service.mail.ses.client import connect
from service.mail.ses.provider import SesMailProvider
from service.ports import IdentityRef, ProviderState
from service.state_poller import StatePoller
from service.store.sql import SqlStore
from service.store.tables import provider_identities
from tests.support.clock import HandClock
from tests.support.ses import SesServer

HERE = "eu-west-1"
COUNT = 10_000


def test_a_poll_of_ten_thousand_takes_ten_requests(
    opened: SqlStore, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And every one of their states is known, of a first poll and of one that finds nothing new."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    names = [f"d{number:05}.example.com" for number in range(COUNT)]
    new = {"region": HERE, "reservation": "one", "is_removing": False, "failures": 0, "version": 0}
    rows = [{"name": name, **new} for name in names]
    opened._database.write(lambda connection: connection.execute(insert(provider_identities), rows))
    with SesServer() as ses:
        for name in names:
            ses.add(HERE, name, status="SUCCESS")
        timeout = timedelta(seconds=5)
        provider = SesMailProvider(
            frozenset({HERE}), partial(connect, endpoint_url=ses.url, timeout=timeout), secret=b"s", rate=100
        )
        poller = StatePoller(
            region=HERE,
            identities=opened,
            lister=provider,
            clock=clock,
            interval=timedelta(seconds=30),
            lease=timedelta(minutes=1),
        )
        for polls in (1, 2):
            assert poller.poll_if_due()
            assert ses.counts(HERE) == {"ListEmailIdentities": 10 * polls}
            states = opened.states([IdentityRef(name, HERE) for name in names[::100]])
            assert set(states.values()) == {ProviderState.READY}
            clock.advance(seconds=30)
        provider.close()
