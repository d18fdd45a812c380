"""What is kept of events does not grow for ever."""

import json
from datetime import timedelta

from sqlalchemy import func, select

from service.mail.ses.events import parse
from service.ports import QueuedMessage
from service.store.sql import SqlStore
from service.store.tables import counted_events
from service.upkeep import Upkeep
from service.usecases.count_events import CountEvents
from tests.support.clock import HandClock
from tests.support.samples import NOON
from tests.support.ses_events import send
from tests.support.waiting import until

MEMORY = timedelta(days=8)


def test_ids_and_dead_letters_are_forgotten_in_time(
    opened: SqlStore, count: CountEvents, clock: HandClock
) -> None:
    """When their hours count no more, and when nobody has looked at them for long."""
    bodies = [json.dumps(send()), "hello"]
    count("queue", [QueuedMessage("", body, parse(body), NOON) for body in bodies])
    upkeep = Upkeep(
        log=opened,
        uses=opened,
        deliveries=opened,
        feedback=opened,
        clock=clock,
        retention=timedelta(milliseconds=1),
        count_memory=MEMORY,
        letter_retention=2 * MEMORY,
    )
    upkeep.start()
    try:
        clock.time += MEMORY + timedelta(hours=1)
        until(lambda: not _ids(opened))
        assert len(opened.dead_letters(10)) == 1
        clock.time += MEMORY
        until(lambda: not opened.dead_letters(10))
    finally:
        upkeep.end()


def _ids(store: SqlStore) -> int:
    statement = select(func.count()).select_from(counted_events)
    return int(store._database.query(lambda connection: connection.execute(statement).scalar_one()))
