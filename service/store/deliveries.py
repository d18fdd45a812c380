"""Counts of what became of messages."""

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select

from service.core.deliveries import BatchAnswer
from service.core.health import Counts
from service.ports import Clock, DeliveryBatch
from service.store import assessments
from service.store.database import Database
from service.store.document import dump_answer, load_answer
from service.store.hints import Hints
from service.store.part import Part
from service.store.statements import Upsert
from service.store.tables import deliveries, delivery_batches, to_microseconds

T = TypeVar("T")

_ANSWER = select(delivery_batches.c.document).where(
    delivery_batches.c.tenant == bindparam("tenant"), delivery_batches.c.batch == bindparam("batch")
)
_INSERT_BATCH = insert(delivery_batches)
_FORGET = delete(delivery_batches).where(
    delivery_batches.c.create_time < bindparam("before", type_=delivery_batches.c.create_time.type)
)
_ADD = Upsert(
    deliveries,
    lambda new: {count: deliveries.c[count] + new[count] for count in Counts._fields},
)


class Counting(Part):
    """What adds to the counts."""

    def __init__(self, database: Database, clock: Clock, hints: Hints) -> None:
        super().__init__(database, clock, hints)
        # Batches mostly have counters in common. Those that wait for each other in the
        # database take twice as long as those that wait here.
        self._counting = threading.Lock()

    def _count(self, work: Callable[[Connection], T]) -> T:
        """Return what work does in one transaction, in its turn among all that count here."""
        with self._counting:
            return self._database.write(work)


class SqlDeliveries(Counting):
    """`DeliveryStore`."""

    def known(self, tenant: str, names: Collection[str]) -> Collection[str]:
        """See `DeliveryStore.known`."""
        return self._look_ups.known(tenant, names)

    def count_deliveries(
        self, tenant: str, batch: DeliveryBatch, *, now: datetime, due: datetime
    ) -> BatchAnswer:
        """See `DeliveryStore.count_deliveries`."""
        key = {"tenant": tenant, "batch": _digest(batch)}
        hours = {hour: to_microseconds(hour) for hour in {hour for _, hour in batch.counts}}
        rows = sorted((tenant, name, hours[hour], *counts) for (name, hour), counts in batch.counts.items())

        def work(connection: Connection) -> BatchAnswer:
            answered = connection.execute(_ANSWER, key).first()
            if answered is not None:
                return load_answer(answered.document)
            # Of two at the same time one fails here, and is tried again.
            answer = dump_answer(batch.answer)
            connection.execute(_INSERT_BATCH, {**key, "create_time": now, "document": answer})
            if rows:
                add(connection, rows, due)
            return batch.answer

        return self._count(work)

    def forget_batches(self, before: datetime) -> None:
        """See `DeliveryStore.forget_batches`."""
        self._database.write(lambda connection: connection.execute(_FORGET, {"before": before}))


def add(connection: Connection, rows: Sequence[tuple[Any, ...]], due: datetime) -> None:
    """Add rows, as the table holds them and in its order, to the counts; have them assessed at `due`."""
    _ADD.run(connection, rows)
    assessments.hasten(connection, {(tenant, name) for tenant, name, *_ in rows}, due)


def _digest(batch: DeliveryBatch) -> bytes:
    # Callers choose the text: with characters that no column takes.
    return hashlib.sha256(batch.id.encode()).digest()
