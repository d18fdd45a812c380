"""GetDomain, beside a call that does nothing on the same stack."""

from collections.abc import Iterator

from kraiter.domains.v1 import domain_service_pb2 as pb

from tests.bench import loading, no_op
from tests.bench.databases import POSTGRESQL, SQLITE, Databases
from tests.bench.figures import AtLeast, Figure
from tests.bench.scale import Scale

PATH = "/kraiter.domains.v1.DomainService/GetDomain"
_GOALS = {SQLITE: AtLeast(0.5), POSTGRESQL: AtLeast(0.4)}


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure on both databases."""
    requests = [
        pb.GetDomainRequest(domain=loading.name(number)).SerializeToString()
        for number in range(scale.few_domains)
    ]
    return no_op.figures("get_domain", PATH, requests, _GOALS, scale, databases)
