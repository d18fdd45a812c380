"""Statements whose cost must not grow with the number of domains."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, event, text

from service.ports import DomainFilter
from service.store import assessments, checks, contests, domains, feedback, identities, log, rows, uses
from service.store.engine import is_postgresql, make_engine
from service.store.statements import listed, run
from tests.support.samples import NOON

CLAIM = {"now": NOON, "until": NOON + timedelta(minutes=1), "taken_by": "lease", "limit": 10}

CLAIMED = {"generations": ["one", "two"]}


@pytest.fixture
def explaining(url: str) -> Iterator[Connection]:
    """Return a connection that explains statements instead of running them."""
    engine = make_engine(url)
    with engine.connect() as connection:
        prefix = "EXPLAIN QUERY PLAN"
        if is_postgresql(engine):
            prefix = "EXPLAIN"
            # The tables are empty: without this they would be read whole, and rightly.
            connection.execute(text("SET enable_seqscan = off"))
            connection.execute(text("SET enable_bitmapscan = off"))

        @event.listens_for(connection, "before_cursor_execute", retval=True)
        def explained(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> Any:
            return f"{prefix} {statement}", parameters

        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "terms", "index"),
    [
        (checks._CLAIM_DUE, CLAIM, "checks_claim_time_index"),
        (checks._NEXT_DUE, {}, "checks_claim_time_index"),
        (checks._CLAIMED, CLAIMED, "domains_one_verified"),
        (contests._HOLDERS, CLAIMED, "domains_one_verified"),
        (rows._OF_NAME, {"name": "example.com"}, "names_held"),
        (identities._FIRST_DUE, {"now": NOON, "in_region": None}, "provider_identities_due_index"),
        (log._oldest.element, {"before": NOON, "limit": 10}, "events_by_time"),
        (uses._EXPIRED, {"of_generation": "one", "now": NOON}, "uses_expiring_of_domain"),
        (uses._TAKE_EXPIRED, {"now": NOON, "limit": 10}, "uses_expiring"),
        (assessments._TAKE_DUE, {"now": NOON, "limit": 10}, "assessments_due_index"),
        (feedback._FORGET_EVENTS, {"before": NOON, "limit": 10}, "counted_events"),
        (feedback._FORGET_LETTERS, {"before": NOON, "limit": 10}, "dead_letters_time_index"),
        (domains._matching("acme", DomainFilter(prefix="exa"), "exb"), {}, "domains"),
    ],
    ids=[
        "claim_due",
        "next_due",
        "claimed",
        "holders",
        "of_name",
        "first_removal",
        "trim",
        "expired_of_domain",
        "expired",
        "assess",
        "forget_events",
        "forget_letters",
        "page",
    ],
)
def test_an_index_finds_the_rows(
    explaining: Connection, statement: Executable, terms: dict[str, object], index: str
) -> None:
    """An index leads to the rows in their order: nothing is read whole or sorted."""
    lines = explaining.execute(statement, terms).cursor.fetchall()
    plan = "\n".join(str(line[-1]) for line in lines)
    assert index in plan
    for sign_of_more in ("Seq Scan", "Sort", "TEMP B-TREE"):
        assert sign_of_more not in plan


def test_an_index_finds_whose_events_are(explaining: Connection) -> None:
    """By the names asked for, whoever has them."""
    database = explaining.dialect.name
    terms = {"listed": listed(["example.com", "example.org"], database)}
    lines = run(explaining, feedback._claims(database), terms).cursor.fetchall()
    plan = "\n".join(str(line[-1]) for line in lines)
    for sign_of_more in ("Seq Scan", "SCAN names_held", "SCAN domains"):
        assert sign_of_more not in plan
