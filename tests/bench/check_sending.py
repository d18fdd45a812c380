"""CheckSending from memory, beside a call that does nothing on the same stack."""

from collections.abc import Iterator

from kraiter.domains.v1 import sending_service_pb2 as pb

from tests.bench import loading, no_op
from tests.bench.databases import POSTGRESQL, SQLITE, Databases
from tests.bench.figures import AtLeast, Figure
from tests.bench.scale import Scale

PATH = "/kraiter.domains.v1.SendingService/CheckSending"
_GOALS = {SQLITE: AtLeast(0.85), POSTGRESQL: AtLeast(0.85)}


def run(scale: Scale, databases: Databases) -> Iterator[Figure]:
    """Measure on both databases. Each call asks about one of many domains, which were asked about before."""
    requests = [
        pb.CheckSendingRequest(domains=[loading.name(number)]).SerializeToString()
        for number in range(scale.few_domains)
    ]
    return no_op.figures("check_sending", PATH, requests, _GOALS, scale, databases)
