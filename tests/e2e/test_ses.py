"""A server on Amazon SES, as far as the double behaves like it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import kraiter
import pytest
from kraiter.domains.v1.domain_pb2 import Advice, DnsRecord, Domain, StatusEvent

from tests.e2e.conftest import HASTE, Serve
from tests.e2e.ses_settings import HERE, THERE, settings
from tests.support import publishing
from tests.support.authority import LoopbackDns
from tests.support.server import KEY, ServerProcess
from tests.support.ses import MailFrom, SesServer
from tests.support.waiting import until

VERIFIED, FAILED, PENDING = Domain.VERIFIED, Domain.FAILED, Domain.PENDING


@pytest.fixture(scope="module")
def ses() -> Iterator[SesServer]:
    """The double, for all tests of the module."""
    with SesServer() as running:
        yield running


@pytest.fixture(scope="module")
def server(serve: Serve, ses: SesServer) -> ServerProcess:
    """A server in haste."""
    return serve(**settings(ses))


def has_status(server: ServerProcess, name: str, status: "Domain.Status.ValueType") -> None:
    """Wait until a domain has a status."""
    with server.client() as client:
        until(lambda: client.domains.get(name).status == status, within=20)


def verified(
    server: ServerProcess, ses: SesServer, dns: LoopbackDns, name: str, region: str = HERE
) -> Domain:
    """Return a domain that is VERIFIED."""
    with server.client() as client:
        domain = client.domains.create(name, region=region)
    publishing.publish(domain, dns)
    ses.set_status(region, name, "SUCCESS")
    has_status(server, name, VERIFIED)
    return domain


def is_checked_after(client: kraiter.Client, domain: Domain) -> bool:
    """Return whether a domain has been looked at since it was read."""
    return client.domains.get(domain.domain).last_check_time != domain.last_check_time


def events(server: ServerProcess, name: str) -> list[tuple[str, str]]:
    """Return what became of a domain, and why, from the first event on."""
    with server.client() as client:
        found = list(client.domains.events(domain=name))
    return [(StatusEvent.Type.Name(event.type), event.reason) for event in reversed(found)]


def test_the_records_are_those_that_ses_says(server: ServerProcess, ses: SesServer) -> None:
    """Its tokens in its zone, and the envelope sender set up behind the caller's back."""
    name = "records.example.com"
    with server.client() as client:
        domain = client.domains.create(name, region=THERE, mail_from_subdomain="bounce")
    made = ses.identities(THERE)[name]
    keys = {record.value for record in domain.dns_records if record.purpose == DnsRecord.DKIM}
    assert keys == {f"{token}.dkim.eu-south-1.amazonses.com" for token in made.tokens}
    until(lambda: ses.identities(THERE)[name].mail_from is not None)
    mail_from = ses.identities(THERE)[name].mail_from
    assert mail_from is not None
    assert mail_from.domain == f"bounce.{name}"


def test_a_region_that_is_not_allowed_is_refused(server: ServerProcess) -> None:
    """The error says which are."""
    with server.client() as client, pytest.raises(kraiter.InvalidArgument, match=f"{THERE}, {HERE}"):
        client.domains.create("elsewhere.example.com", region="us-east-1")


def test_records_alone_are_not_enough(server: ServerProcess, ses: SesServer, dns: LoopbackDns) -> None:
    """A domain is VERIFIED once SES says so too, and seconds after."""
    name = "waits.example.com"
    with server.client() as client:
        publishing.publish(client.domains.create(name), dns)

        def is_found() -> bool:
            return all(
                record.state == DnsRecord.FOUND
                for record in client.domains.get(name).dns_records
                if record.required
            )

        until(is_found)
        domain = client.domains.verify(name)
        assert domain.status == PENDING
        assert Advice.AWAITING_PROVIDER in {advice.code for advice in domain.advice}
        ses.set_status(HERE, name, "SUCCESS")
        begun = time.monotonic()
        until(lambda: client.domains.get(name).status == VERIFIED)
        assert time.monotonic() - begun < 5


def test_what_ses_revokes_may_not_send_until_it_is_found_again(
    server: ServerProcess, ses: SesServer, dns: LoopbackDns
) -> None:
    """SES is told to look again by itself, so that mending the DNS is enough."""
    name = "revoked.example.com"
    verified(server, ses, dns, name)
    ses.set_status(HERE, name, "TEMPORARY_FAILURE")
    ses.reset_calls()
    until(lambda: ses.counts(HERE)["ListEmailIdentities"] > 2)
    with server.client() as client:
        assert client.domains.get(name).status == VERIFIED
    ses.set_status(HERE, name, "FAILED")
    has_status(server, name, FAILED)
    until(lambda: ses.identities(HERE)[name].status == "PENDING")
    ses.set_status(HERE, name, "SUCCESS")
    has_status(server, name, VERIFIED)
    changes = [(kind, why) for kind, why in events(server, name) if kind == "STATUS_CHANGED"]
    assert changes == [
        ("STATUS_CHANGED", "RECORDS_FOUND"),
        ("STATUS_CHANGED", "PROVIDER_REVOKED"),
        ("STATUS_CHANGED", "RECORDS_FOUND"),
    ]


def test_an_identity_that_somebody_deletes_is_made_again(
    server: ServerProcess, ses: SesServer, dns: LoopbackDns
) -> None:
    """Its domain may not send until SES has verified it anew."""
    name = "deleted.example.com"
    verified(server, ses, dns, name)
    with ses._lock:
        del ses._region(HERE).identities[name]
    has_status(server, name, FAILED)
    until(lambda: name in ses.identities(HERE))
    ses.set_status(HERE, name, "SUCCESS")
    has_status(server, name, VERIFIED)


def test_the_last_domain_takes_the_identity_with_it(server: ServerProcess, ses: SesServer) -> None:
    """But not one that others have made."""
    ses.add(HERE, "adopted.example.com", tags={"owner": "somebody"})
    with server.client() as client:
        for name in ("adopted.example.com", "ours.example.com"):
            client.domains.create(name)
            client.domains.delete(name)
    until(lambda: "ours.example.com" not in ses.identities(HERE))
    assert "adopted.example.com" in ses.identities(HERE)


def test_the_identity_of_a_stranger_is_not_taken_over(
    server: ServerProcess, ses: SesServer, dns: LoopbackDns
) -> None:
    """Its records are published already: whoever claims its name has to prove that it is theirs."""
    name = "stranger.example.com"
    mail_from = MailFrom(f"mail.{name}", "REJECT_MESSAGE", status="SUCCESS")
    ses.add(HERE, name, status="SUCCESS", mail_from=mail_from)
    with server.client() as client:
        domain = client.domains.create(name, mail_from_subdomain="mail")
        (proof,) = (record for record in domain.dns_records if record.purpose == DnsRecord.OWNERSHIP)
        for record in domain.dns_records:
            if record != proof:
                publishing.put(record, dns)
        checked = client.domains.verify(name)
        assert checked.status == PENDING
        assert [record.purpose for record in checked.dns_records if record.state == DnsRecord.MISSING] == [
            DnsRecord.OWNERSHIP
        ]
        ses.reset_calls()
        client.domains.update(name, mail_from_subdomain="other")
        until(lambda: ses.counts(HERE)["GetEmailIdentity"])
        assert ses.identities(HERE)[name].mail_from == mail_from
        publishing.put(proof, dns)
        publishing.publish(client.domains.get(name), dns)
        has_status(server, name, VERIFIED)
    until(lambda: (now := ses.identities(HERE)[name].mail_from) and now.domain == f"other.{name}")
    assert ses.counts(HERE)["PutEmailIdentityMailFromAttributes"] == 1


def test_domains_of_the_local_provider_move_to_ses(serve: Serve, dns: LoopbackDns) -> None:
    """Their identities are made, their records become SES's, and they may send again once verified."""
    with SesServer() as ses:
        server = serve(**HASTE, KRAITER_CHECK_VERIFIED_INTERVAL="500ms")
        name = "moves.example.com"
        with server.client() as client:
            before = client.domains.create(name)
        publishing.publish(before, dns)
        has_status(server, name, VERIFIED)
        assert server.stop() == 0
        server.change_settings(**settings(ses))
        server.start()
        until(server.is_reached)
        has_status(server, name, FAILED)
        made = ses.identities(HERE)[name]
        with server.client() as client:
            until(lambda: keys_of(client.domains.get(name)) == set(made.tokens))
            publishing.publish(client.domains.get(name), dns)
        ses.set_status(HERE, name, "SUCCESS")
        has_status(server, name, VERIFIED)
        assert server.stop() == 0


def keys_of(domain: Domain) -> set[str]:
    """Return the DKIM tokens that a domain's owner has to publish."""
    return {
        record.value.partition(".")[0] for record in domain.dns_records if record.purpose == DnsRecord.DKIM
    }


def test_a_region_that_is_down_is_nobody_elses_concern(serve: Serve, dns: LoopbackDns) -> None:
    """Nor that of its VERIFIED domains: nothing is demoted because SES did not answer."""
    with SesServer() as ses:
        server = serve(**settings(ses, KRAITER_CHECK_VERIFIED_INTERVAL="200ms"))
        for region, name in ((HERE, "down.example.com"), (THERE, "up.example.com")):
            verified(server, ses, dns, name, region)
        ses.take_down(HERE)
        ses.set_status(HERE, "down.example.com", "FAILED")
        ses.reset_calls()
        with server.client() as client:
            with pytest.raises(kraiter.Unavailable) as caught:
                client.domains.create("new.example.com")
            assert caught.value.reason == "PROVIDER_UNAVAILABLE"
            verified(server, ses, dns, "new.example.com", THERE)
            # Until what was known of it is as good as unknown.
            until(lambda: len(ses.calls(HERE)) > 10)
            for _ in range(3):
                down = client.domains.get("down.example.com")
                until(partial(is_checked_after, client, down))
            assert client.domains.get("down.example.com").status == VERIFIED
            ses.mend(HERE)
            has_status(server, "down.example.com", FAILED)
        assert server.stop() == 0


def test_fifty_callers_at_once_are_served_or_told_when(serve: Serve) -> None:
    """At one request a second: before their deadlines, with nothing half made."""
    with SesServer() as ses:
        ses.limit_rate(HERE, 1.0)
        server = serve(**settings(ses, KRAITER_SES_RATE="1", KRAITER_IDENTITY_LEASE="30s"))

        def create(number: int) -> str:
            begun = time.monotonic()
            outcome = "created"
            with kraiter.Client(server.address, KEY, timeout=8) as client:
                try:
                    client.domains.create(f"d{number}.example.com")
                except kraiter.ResourceExhausted as error:
                    outcome = error.reason if error.retry_after else "refused, and not told until when"
            return outcome if time.monotonic() - begun < 8 else "late"

        with ThreadPoolExecutor(50) as pool:
            outcomes = list(pool.map(create, range(50)))
        assert set(outcomes) == {"created", "PROVIDER_LIMIT"}
        assert 4 <= outcomes.count("created") <= 9
        with server.client() as client:
            created = list(client.domains.list(view=Domain.FULL))
        names = {domain.domain for domain in created}
        assert all(len(domain.dns_records) == 6 for domain in created)
        assert len(names) == outcomes.count("created")
        ses.mend(HERE)
        until(lambda: ses.identities(HERE).keys() == names, within=60)
        assert server.stop() == 0
