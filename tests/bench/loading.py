"""Domains by the hundred thousand, written straight into the tables."""

import itertools
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta

from sqlalchemy import insert, text

from service.clock import SystemClock
from service.core.answers import RecordType
from service.core.domain import CheckState, Status, StatusReason
from service.core.records import Finding, Record, RecordState
from service.store.document import dump_domain
from service.store.engine import is_postgresql, make_engine
from service.store.sql import open_store
from service.store.tables import checks, domains, names_held
from tests.support.samples import sample_domain, sample_records

ZONE = "github.io"
"""A public suffix, so that each name below it is an organisation of its own, and all share a zone."""
QUERIES = 6
"""What a check asks about one of the domains."""

_BATCH = 2_000
_NAME = f"name.{ZONE}"
_GENERATION = "generation-of-the-sample"


def name(number: int) -> str:
    """Return the name of a domain that was loaded, counted from 0."""
    return f"d{number:06}.{ZONE}"


def generation(number: int) -> str:
    """Return the generation of a domain that was loaded, counted from 0."""
    return f"generation{number:06}"


def published(count: int) -> list[Record]:
    """Return the records of the domains, as their owners publish them."""
    return [record for number in range(count) for record in sample_records(name(number))]


def create_tenant(url: str, tenant: str) -> None:
    """Add a tenant, for `load`."""
    store = open_store(url, clock=SystemClock())
    store.create_tenant(tenant)
    store.close()


def load(url: str, tenant: str, count: int, *, first_due: datetime, apart: timedelta) -> None:
    """Add verified domains to an existing tenant, due one after the other."""
    sample = sample_domain(
        tenant,
        _NAME,
        generation=_GENERATION,
        status=Status.VERIFIED,
        status_reason=StatusReason.RECORDS_FOUND,
    )
    # Writing a document takes longer than inserting it: one is written, and filled in.
    document = dump_domain(
        replace(sample, records=tuple(replace(record, finding=_found(record)) for record in sample.records))
    )
    engine = make_engine(url)
    with engine.connect() as connection, connection.begin():
        if not is_postgresql(engine):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        for numbers in _batches(count):
            generations = [generation(number) for number in numbers]
            connection.execute(
                insert(names_held), [{"tenant": tenant, "name": name(number)} for number in numbers]
            )
            connection.execute(
                insert(domains),
                [
                    {
                        "tenant": tenant,
                        "name": name(number),
                        "generation": own,
                        "status": sample.status.value,
                        "health": sample.health.value,
                        "sending_enabled": True,
                        "document": document.replace(_NAME, name(number)).replace(_GENERATION, own),
                    }
                    for number, own in zip(numbers, generations, strict=True)
                ],
            )
            connection.execute(
                insert(checks),
                [
                    {"generation": own, "claim_time": due, **_schedule(due)}
                    for number, own in zip(numbers, generations, strict=True)
                    for due in [first_due + number * apart]
                ],
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # What a database does by itself in time: plans that fit tables of this size.
        connection.execute(text("ANALYZE"))
    engine.dispose()


def _found(record: Record) -> Finding:
    value = f"{record.priority} {record.value}" if record.type is RecordType.MX else record.value
    return Finding(RecordState.FOUND, (value,), server=f"ns1.{ZONE} (127.0.0.4)")


def _schedule(due: datetime) -> dict[str, object]:
    state = CheckState(next_check_time=due, fast_since=due)
    return {field.name: getattr(state, field.name) for field in fields(state)}


def _batches(count: int) -> Iterator[list[int]]:
    numbers = iter(range(count))
    while batch := list(itertools.islice(numbers, _BATCH)):
        yield batch
