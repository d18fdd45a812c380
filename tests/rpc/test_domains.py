"""What each RPC of DomainService answers, through the real client."""

from concurrent.futures import ThreadPoolExecutor

import kraiter
import pytest
from kraiter.domains.v1 import domain_pb2 as pb

from tests.rpc.running import Running, running

Domain = pb.Domain


def test_create_returns_the_records_to_publish(client: kraiter.Client) -> None:
    """A new domain is PENDING and comes with everything that its owner needs."""
    domain = client.domains.create("Unclaimed.Example.COM.", region="us-east-1")
    assert domain.domain == "unclaimed.example.com"
    assert domain.status == Domain.PENDING
    assert domain.status_reason == Domain.AWAITING_RECORDS
    assert domain.sending_enabled
    assert domain.revision == 1
    assert domain.HasField("verification_deadline")
    assert not domain.HasField("last_check_time")
    purposes = [pb.DnsRecord.Purpose.Name(record.purpose) for record in domain.dns_records]
    assert purposes == ["DKIM", "DKIM", "DKIM", "SPF", "SPF", "DMARC"]
    assert all(record.state == pb.DnsRecord.PENDING for record in domain.dns_records)
    assert not any(record.HasField("check_time") for record in domain.dns_records)


def test_names_are_shown_in_unicode(client: kraiter.Client) -> None:
    """An internationalised name is kept as A-labels and shown as U-labels."""
    domain = client.domains.create("mail.bücher.example.com")
    assert domain.domain == "mail.xn--bcher-kva.example.com"
    assert domain.display_domain == "mail.bücher.example.com"


def test_the_same_request_id_returns_the_first_answer(client: kraiter.Client) -> None:
    """Repeating a creation is harmless; using its id for another is not."""
    first = client.domains.create("mail.example.com", request_id="once")
    assert client.domains.create("mail.example.com", request_id="once") == first
    with pytest.raises(kraiter.InvalidArgument) as caught:
        client.domains.create("other.example.com", request_id="once")
    assert caught.value.violations[0].field == "request_id"


def test_a_domain_exists_once(client: kraiter.Client) -> None:
    """Creating it again is refused, and says which domain."""
    client.domains.create("mail.example.com")
    with pytest.raises(kraiter.AlreadyExists) as caught:
        client.domains.create("MAIL.example.com")
    assert caught.value.reason == "DOMAIN_EXISTS"
    assert caught.value.metadata["domain"] == "mail.example.com"


def test_every_wrong_field_is_told(client: kraiter.Client) -> None:
    """A request with several mistakes is answered with all of them."""
    with pytest.raises(kraiter.InvalidArgument) as caught:
        client.domains.create(
            "mail.example.com",
            region="mars-1",
            dmarc_policy=Domain.DmarcPolicy.ValueType(77),
            dmarc_report_address="nobody",
            mail_from_subdomain="-",
            request_id="x" * 129,
        )
    assert caught.value.reason == "INVALID_FIELD"
    assert {violation.field for violation in caught.value.violations} == {
        "region",
        "dmarc_policy",
        "dmarc_report_address",
        "mail_from_subdomain",
        "request_id",
    }


def test_a_bad_name_is_explained(client: kraiter.Client) -> None:
    """What is no domain name is refused with the reason in words."""
    with pytest.raises(kraiter.InvalidArgument) as caught:
        client.domains.create("https://example.com/")
    assert caught.value.reason == "INVALID_DOMAIN"
    assert caught.value.violations[0].field == "domain"
    assert "URL" in caught.value.violations[0].description


def test_get_reads_what_was_written(client: kraiter.Client) -> None:
    """GetDomain returns the answer of CreateDomain, by any spelling of the name."""
    created = client.domains.create("mail.example.com")
    assert client.domains.get("MAIL.EXAMPLE.COM.", min_revision=created.revision) == created


def test_get_is_never_old(client: kraiter.Client) -> None:
    """A check without news takes no revision, and shows all the same."""
    created = client.domains.create("mail.example.com")
    assert client.domains.get("mail.example.com") == created
    for _ in range(3):
        checked = client.domains.verify("mail.example.com")
        assert client.domains.get("mail.example.com") == checked
    again = client.domains.verify("mail.example.com")
    assert again.revision == checked.revision
    assert again.last_check_time != checked.last_check_time
    assert client.domains.get("mail.example.com") == again


def test_many_are_got_at_once_each_by_its_caller(service: Running, client: kraiter.Client) -> None:
    """Calls that are answered together each get their own domain, of their own tenant."""
    rival = service.new_tenant()
    names = [f"d{number}.example.com" for number in range(40)]
    for name in names[::2]:
        client.domains.create(name)
    with service.client(service.new_key(rival)) as other, ThreadPoolExecutor(16) as pool:
        other.domains.create(names[1])

        def get(caller: kraiter.Client, name: str) -> str:
            try:
                return caller.domains.get(name).domain
            except kraiter.NotFound as error:
                return error.reason

        ours = [pool.submit(get, client, name) for name in names * 3]
        theirs = [pool.submit(get, other, name) for name in names * 3]
        missing = "DOMAIN_NOT_FOUND"
        assert [got.result() for got in ours] == [
            name if index % 2 == 0 else missing for index, name in enumerate(names)
        ] * 3
        assert [got.result() for got in theirs] == [
            name if name == names[1] else missing for name in names
        ] * 3


def test_a_revision_from_the_future_is_refused(client: kraiter.Client) -> None:
    """A min_revision that nobody was given is a mistake of the caller."""
    client.domains.create("mail.example.com")
    with pytest.raises(kraiter.InvalidArgument) as caught:
        client.domains.get("mail.example.com", min_revision=99)
    assert caught.value.violations[0].field == "min_revision"


def test_what_is_not_there_is_not_found(client: kraiter.Client) -> None:
    """Reading, changing and deleting an unknown domain say so alike."""
    for act in (
        client.domains.get,
        client.domains.delete,
        client.domains.enable,
        client.domains.disable,
        client.domains.verify,
    ):
        with pytest.raises(kraiter.NotFound) as caught:
            act("nowhere.example.com")
        assert caught.value.reason == "DOMAIN_NOT_FOUND"
        assert caught.value.metadata == {"domain": "nowhere.example.com"}


def test_lists_are_paged_by_name(client: kraiter.Client) -> None:
    """The client's iterator crosses pages, in order, without records unless asked."""
    names = [f"d{number}.example.com" for number in range(5)]
    for name in reversed(names):
        client.domains.create(name)
    listed = list(client.domains.list(page_size=2))
    assert [domain.domain for domain in listed] == names
    assert not any(domain.dns_records for domain in listed)
    full = client.domains.list(view=pb.Domain.FULL, domain_prefix="D3")
    assert [len(domain.dns_records) for domain in full] == [6]


def test_lists_are_filtered(client: kraiter.Client) -> None:
    """Each filter leaves what matches it."""
    client.domains.create("a.example.com")
    client.domains.create("b.example.com")
    client.domains.disable("b.example.com")
    assert [d.domain for d in client.domains.list(sending_enabled=False)] == ["b.example.com"]
    assert [d.domain for d in client.domains.list(sending_enabled=True)] == ["a.example.com"]
    assert not list(client.domains.list(statuses=[Domain.VERIFIED]))
    assert len(list(client.domains.list(healths=[Domain.HEALTH_UNSPECIFIED]))) == 2


def test_bad_filters_are_named_by_place(client: kraiter.Client) -> None:
    """A number that no status has is told with its place; a foreign token is refused."""
    with pytest.raises(kraiter.InvalidArgument) as caught:
        next(client.domains.list(statuses=[Domain.VERIFIED, Domain.Status.ValueType(9)], page_size=-1))
    assert {violation.field for violation in caught.value.violations} == {"statuses[1]", "page_size"}
    with pytest.raises(kraiter.InvalidArgument, match="INVALID_PAGE_TOKEN"):
        next(client.domains.list(page_token="abc"))


def test_disable_and_enable(client: kraiter.Client) -> None:
    """Pausing and resuming are kept, idempotent, and told as events."""
    client.domains.create("mail.example.com")
    paused = client.domains.disable("mail.example.com", reason="holiday")
    assert (paused.sending_enabled, paused.disable_reason) == (False, "holiday")
    assert client.domains.disable("mail.example.com").revision == paused.revision
    resumed = client.domains.enable("mail.example.com")
    assert (resumed.sending_enabled, resumed.disable_reason) == (True, "")
    types = [pb.StatusEvent.Type.Name(event.type) for event in client.domains.events(page_size=2)]
    assert types == ["SENDING_ENABLED", "SENDING_DISABLED", "CREATED"]


def test_events_say_who_and_what(client: kraiter.Client, key: str) -> None:
    """An event has before, after, reason and actor, and no records."""
    client.domains.create("mail.example.com")
    client.domains.disable("mail.example.com", reason="holiday")
    event = next(client.domains.events(domain="mail.example.com"))
    assert event.reason == "holiday"
    assert event.actor == f"key:{key.split('_')[1]}"
    assert event.previous_status == Domain.PENDING
    assert not event.state.sending_enabled
    assert not event.state.dns_records


def test_delete_removes_it(client: kraiter.Client) -> None:
    """A deleted domain is gone, and its history remains."""
    client.domains.create("mail.example.com")
    revision = client.domains.delete("mail.example.com")
    assert revision == next(iter(client.domains.events())).revision
    with pytest.raises(kraiter.NotFound):
        client.domains.get("mail.example.com")
    assert next(client.domains.events()).type == pb.StatusEvent.DELETED


def test_verify_finds_published_records(service: Running, client: kraiter.Client) -> None:
    """VerifyDomain checks at once and says what was found, and where."""
    created = client.domains.create("verify-me.example.com")
    missing = client.domains.verify(created.domain)
    assert missing.status == Domain.PENDING
    assert {record.state for record in missing.dns_records if record.required} == {pb.DnsRecord.MISSING}
    service.resolver.publish(created)
    found = client.domains.verify(created.domain)
    assert found.status == Domain.VERIFIED
    assert {record.state for record in found.dns_records} == {pb.DnsRecord.FOUND}
    assert all(record.check_time == found.last_check_time for record in found.dns_records)
    assert found.dns_records[0].checked_server == "ns.test (192.0.2.1)"


def test_the_quota_is_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A tenant with its full number of domains gets no other; waiting does not help."""
    with running(tmp_path_factory.mktemp("quota"), quota=1) as service:
        with service.client(service.new_key(service.new_tenant())) as client:
            client.domains.create("a.example.com")
            with pytest.raises(kraiter.ResourceExhausted) as caught:
                client.domains.create("b.example.com")
        assert caught.value.reason == "DOMAIN_QUOTA"
        assert caught.value.retry_after is None
