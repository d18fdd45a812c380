"""No tenant can read, change or learn of what another has, by any RPC."""

import re
from dataclasses import replace

import kraiter
import pytest
from kraiter.domains.v1 import domain_pb2 as pb
from kraiter.domains.v1 import domain_service_pb2 as service_pb

from service.core.keys import Scope
from tests.rpc.contract_requests import REQUESTS, request_for
from tests.rpc.running import METHODS, Failure, Running

THEIRS = "theirs.example.com"
ABSENT = "absent.example.com"

# The one RPC that must treat a name differently which another tenant has: it
# asks for a proof of ownership. A test of its own says that it tells no more.
TELLS_OF_A_CLAIM = {"/kraiter.domains.v1.DomainService/CreateDomain"}


@pytest.fixture
def theirs(service: Running) -> kraiter.Client:
    """Return the client of another tenant, which has THEIRS."""
    client = service.client(service.new_key(service.new_tenant()))
    client.domains.create(THEIRS)
    return client


def test_every_rpc_has_a_request() -> None:
    """An RPC that is new in the contract cannot stay out of these tests."""
    assert {path.rpartition("/")[2] for path in METHODS} == set(REQUESTS)


@pytest.mark.parametrize("path", [path for path in METHODS if path not in TELLS_OF_A_CLAIM])
def test_another_tenants_domain_is_as_if_it_did_not_exist(
    service: Running, theirs: kraiter.Client, key: str, path: str
) -> None:
    """The answer is the same, octet for octet, as for a name that nobody has."""
    before = theirs.domains.get(THEIRS)
    answer = service.call(path, request_for(path, THEIRS), key)
    control = service.call(path, request_for(path, ABSENT), key)
    assert _renamed(answer) == control
    assert theirs.domains.get(THEIRS) == before
    assert len(list(theirs.domains.events())) == 1


def _renamed(answer: bytes | Failure) -> bytes | Failure:
    """Return an answer with the one name in place of the other, which is as long."""
    if isinstance(answer, bytes):
        return answer.replace(THEIRS.encode(), ABSENT.encode())
    return replace(
        answer,
        message=answer.message.replace(THEIRS, ABSENT),
        metadata={key: value.replace(THEIRS, ABSENT) for key, value in answer.metadata.items()},
        details=answer.details.replace(THEIRS.encode(), ABSENT.encode()),
    )


def test_a_second_claim_is_only_asked_for_proof(theirs: kraiter.Client, client: kraiter.Client) -> None:
    """A name that another tenant has can be created: with the provider's records, and one more."""
    first = theirs.domains.get(THEIRS)
    second = client.domains.create(THEIRS)
    assert second.contested
    assert second.revision == 1
    *same, proof = second.dns_records
    assert proof.purpose == pb.DnsRecord.OWNERSHIP
    # Other tests' tenants had the name too: the first one may be contested as well.
    assert [record.value for record in same] == [record.value for record in first.dns_records[: len(same)]]
    assert proof.value not in {record.value for record in first.dns_records}


def test_a_claim_is_served_alike_whatever_became_of_the_others(service: Running) -> None:
    """Each answer and event of a whole life is the same, whether the other tenant is there or has left.

    Its records stand in DNS in any case.
    """
    lives = {left: _life(service, left) for left in ("pending", "verified", "deleted")}
    assert lives["pending"] == lives["verified"] == lives["deleted"]
    assert len(lives["deleted"]) == 8


def _life(service: Running, left: str) -> list[str]:
    """Return all that a tenant is told of a name which another has, had, or has VERIFIED."""
    name = f"{left}.isolated.example"
    theirs, mine = (service.client(service.new_key(service.new_tenant())) for _ in range(2))
    service.resolver.publish(theirs.domains.create(name))
    if left == "verified":
        assert theirs.domains.verify(name).status == pb.Domain.VERIFIED
    elif left == "deleted":
        theirs.domains.delete(name)
    before = list(theirs.domains.events())
    answers = [
        mine.domains.create(name),
        mine.domains.verify(name),
        mine.domains.disable(name, reason="a test"),
        *mine.domains.list(),
        mine.domains.get(name),
        *list(mine.domains.events())[:2],
        mine.domains.delete(name),
    ]
    assert list(theirs.domains.events()) == before
    return [_alike(str(answer), name) for answer in answers]


def _alike(answer: str, name: str) -> str:
    """Return an answer without what differs between any two domains: name, tokens, times, keys."""
    answer = answer.replace(name, "NAME")
    for varies in (
        r"\b[a-z2-7]{32}\b",
        r"\b[0-9a-f]{40}\b",
        r"(?<=seconds: )\d+",
        r"(?<=nanos: )\d+",
        r"(?<=key:)\w+",
    ):
        answer = re.sub(varies, "...", answer)
    return answer


def test_a_stream_never_carries_anothers_changes(
    service: Running, theirs: kraiter.Client, client: kraiter.Client
) -> None:
    """A subscriber to all domains, and to that very name, sees none of another tenant's events."""
    with client.domains.watch(domains=[THEIRS, "mine.example.com"]) as watch:
        messages = watch.messages()
        next(messages)
        theirs.domains.disable(THEIRS)
        client.domains.create("mine.example.com")
        events = next(iter(message.events for message in messages if message.events))
    assert [event.domain for event in events] == ["mine.example.com"]


def test_tokens_do_not_work_for_another_tenant(theirs: kraiter.Client, client: kraiter.Client) -> None:
    """Page tokens and resume tokens are bound to the tenant that they were given to."""
    theirs.domains.create("second.example.com")
    stub = theirs.domains._stub
    page = stub.ListDomains(
        service_pb.ListDomainsRequest(page_size=1), metadata=theirs.domains._access.metadata
    )
    with pytest.raises(kraiter.InvalidArgument, match="INVALID_PAGE_TOKEN"):
        next(client.domains.list(page_size=1, page_token=page.next_page_token))
    with pytest.raises(kraiter.InvalidArgument, match="INVALID_RESUME_TOKEN"):
        next(iter(client.domains.watch(resume_token=page.resume_token)))


@pytest.mark.parametrize("path", [path for path in METHODS if "DomainService" in path])
def test_a_limited_key_sees_only_its_domains(service: Running, tenant: str, path: str) -> None:
    """With a key limited to named domains the tenant's others are out of reach alike."""
    full = service.client(service.new_key(tenant))
    full.domains.create(THEIRS)
    limited = service.new_key(tenant, domains=frozenset({"mine.example.com"}))
    answer = service.call(path, request_for(path, THEIRS), limited)
    if isinstance(answer, Failure):
        assert answer.reason == "MISSING_SCOPE"
    else:
        assert THEIRS.encode() not in answer
    assert _renamed(answer) == service.call(path, request_for(path, ABSENT), limited)


def test_limited_keys_list_what_they_may(service: Running, tenant: str) -> None:
    """Lists, histories and the first state of a stream keep to the key's domains."""
    full = service.client(service.new_key(tenant))
    full.domains.create("mine.example.com")
    full.domains.create(THEIRS)
    limited = service.new_key(
        tenant, frozenset({Scope.DOMAINS_READ}), domains=frozenset({"mine.example.com"})
    )
    with service.client(limited) as client:
        assert [domain.domain for domain in client.domains.list()] == ["mine.example.com"]
        assert [event.domain for event in client.domains.events()] == ["mine.example.com"]
        with client.domains.watch(start=service_pb.WatchStatusRequest.CURRENT_STATE) as watch:
            events = []
            for message in watch.messages():
                events += message.events
                if message.snapshot_complete:
                    break
    assert [event.domain for event in events] == ["mine.example.com"]
