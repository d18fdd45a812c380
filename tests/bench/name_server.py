"""A name server in another process, so that it takes nothing from who asks it."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from service.core.answers import RecordType
from service.core.records import Record
from service.dns import Endpoint
from tests.support.authority import LoopbackDns
from tests.support.knot import Knot

_KNOT = "127.0.0.4"


@contextmanager
def serving(published: Sequence[Record], zone: str) -> Iterator[Endpoint]:
    """Serve a zone with these records: by Knot where there is one, by our own otherwise."""
    # Several domains have their DMARC record at one name.
    values = {(record.name, record.type): _value(record) for record in published}
    given = [(name, rdtype.value, value) for (name, rdtype), value in values.items()]
    if shutil.which("knotd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"):
        with tempfile.TemporaryDirectory() as folder, Knot(Path(folder), _KNOT) as knot:
            knot.put_zone(zone, _master_file(zone, given))
            yield Endpoint(_KNOT, knot.port)
        return
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(zone, given, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def _serve(zone: str, given: Sequence[tuple[str, str, str]], owner: Connection) -> None:
    with LoopbackDns(authorities=1) as servers:
        servers.add_zone(zone)
        for name, rdtype, value in given:
            servers.authorities[0].put(name, rdtype, value)
        (authority,) = servers.authorities
        owner.send(Endpoint(authority.address, servers.port))
        owner.recv()


def _value(record: Record) -> str:
    return f"{record.priority} {record.value}" if record.type is RecordType.MX else record.value


def _master_file(zone: str, given: Sequence[tuple[str, str, str]]) -> str:
    lines = [
        f"$ORIGIN {zone}.",
        "$TTL 3600",
        "@ SOA ns1 hostmaster 1 3600 600 86400 60",
        "@ NS ns1",
        f"ns1 A {_KNOT}",
    ]
    for name, rdtype, value in given:
        match rdtype:
            case "TXT":
                lines.append(f'{name}. TXT "{value}"')
            case _:
                lines.append(f"{name}. {rdtype} {value}.")
    return "\n".join(lines) + "\n"
