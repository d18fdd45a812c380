"""Migrations, and the identity of a database."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text

from service.core import ownership
from service.core.domain import Status
from service.store import schema
from service.store.document import dump_domain
from service.store.engine import make_engine
from service.store.sql import NotMigratedError, migrate, new_epoch, open_store
from service.store.tables import domains, metadata, names_held, provider_identities, to_microseconds
from tests.support.clock import HandClock
from tests.support.samples import NOON, sample_domain


def test_the_migrations_make_the_tables(url: str) -> None:
    """Nothing differs between a migrated database and tables.py."""
    engine = make_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_identifiers_are_compared_by_octets_on_postgresql(url: str) -> None:
    """Every identifier has the collation "C": Alembic does not compare those."""
    expected = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if type(column.type).__name__ == "Identifier"
    }
    engine = make_engine(url)
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT table_name, column_name FROM information_schema.columns WHERE collation_name = 'C'")
        )
        assert expected <= {tuple(row) for row in found}
    engine.dispose()


def test_several_processes_migrate_at_once(empty_url: str) -> None:
    """Each succeeds, and the database has one identity."""
    program = "import sys; from service.store.sql import migrate; migrate(sys.argv[1])"
    root = Path(__file__).parents[2]
    with ThreadPoolExecutor(4) as pool:
        runs = list(
            pool.map(
                lambda _: subprocess.run(
                    [sys.executable, "-c", program, empty_url],
                    cwd=root,
                    check=False,
                    capture_output=True,
                    text=True,
                ),
                range(4),
            )
        )
    assert [(run.returncode, run.stderr) for run in runs] == [(0, "")] * 4
    open_store(empty_url, clock=HandClock()).close()


def test_a_database_that_is_not_migrated_is_refused(empty_url: str) -> None:
    """The error says which migration is there and which is needed."""
    for use in (
        lambda: open_store(empty_url, clock=HandClock()),
        lambda: new_epoch(empty_url),
    ):
        with pytest.raises(NotMigratedError, match="at migration none, and this program needs 0006"):
            use()


def test_a_database_of_a_newer_program_is_refused(url: str) -> None:
    """As after a rollback: nothing is migrated, and the error says which of the two is behind."""
    engine = make_engine(url)
    with engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    engine.dispose()
    for use in (
        lambda: migrate(url),
        lambda: open_store(url, clock=HandClock()),
        lambda: new_epoch(url),
    ):
        with pytest.raises(NotMigratedError, match="older than its database, at migration 0099"):
            use()
    assert schema.level(url) == ("0099", "0006", True)


def test_proofs_of_before_are_known_after_the_upgrade(empty_url: str) -> None:
    """Whoever was VERIFIED with a contested name is known to have proved it; nobody else is."""
    _upgrade(empty_url, "0001")
    first = sample_domain("acme")
    proved = ownership.demanded(sample_domain("rival", verify_time=NOON, status=Status.FAILED), "r" * 40)
    asked = ownership.demanded(sample_domain("third"), "t" * 40)
    engine = make_engine(empty_url)
    with engine.connect() as connection, connection.begin():
        for domain in (first, proved, asked):
            owner = {"tenant": domain.tenant, "name": domain.name}
            connection.execute(insert(names_held), owner)
            connection.execute(
                insert(domains),
                {
                    **owner,
                    "generation": domain.generation,
                    "status": domain.status,
                    "health": domain.health,
                    "sending_enabled": True,
                    "document": dump_domain(domain),
                },
            )
    migrate(empty_url)
    with engine.connect() as connection:
        found = connection.execute(select(names_held.c.tenant, names_held.c.proof_time)).all()
    assert sorted(map(tuple, found)) == [("acme", None), ("rival", NOON), ("third", None)]
    engine.dispose()


def test_identities_of_before_are_known_after_the_upgrade(empty_url: str) -> None:
    """Each domain's, once for all tenants; and what was to be removed still is."""
    _upgrade(empty_url, "0004")
    engine = make_engine(empty_url)
    loose = "INSERT INTO loose_identities (name, region, token, due, is_removing, failures) VALUES"
    row = f"('gone.com', 'eu-west-1', 'one', {to_microseconds(NOON)}, true, 3)"
    with engine.connect() as connection, connection.begin():
        connection.execute(text(f"{loose} {row}"))
        for tenant, region in (("acme", "eu-west-1"), ("rival", "eu-west-1"), ("third", "us-east-1")):
            domain = sample_domain(tenant, region=region)
            connection.execute(
                insert(domains),
                {
                    "tenant": tenant,
                    "name": domain.name,
                    "generation": tenant,
                    "status": domain.status,
                    "health": domain.health,
                    "sending_enabled": True,
                    "document": dump_domain(domain),
                },
            )
    migrate(empty_url)
    with engine.connect() as connection:
        table = provider_identities.c
        found = connection.execute(select(table.name, table.region, table.due, table.failures)).all()
    assert sorted(map(tuple, found)) == [
        ("example.com", "eu-west-1", None, 0),
        ("example.com", "us-east-1", None, 0),
        ("gone.com", "eu-west-1", NOON, 3),
    ]
    engine.dispose()


def _upgrade(url: str, revision: str) -> None:
    engine = make_engine(url)
    with engine.connect() as connection, connection.begin():
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_an_epoch_ends_what_was_before(url: str) -> None:
    """`new_epoch` changes the epoch and keeps the secret; migrating again keeps both."""

    def identity() -> object:
        store = open_store(url, clock=HandClock())
        store.close()
        return store.identity

    before = identity()
    migrate(url)
    assert identity() == before
    new_epoch(url)
    after = identity()
    assert after.epoch != before.epoch
    assert after.secret == before.secret
    assert len(after.secret) == 32


def test_an_sqlite_file_is_made_with_its_folder(tmp_path: Path) -> None:
    """A first start needs nothing but a path."""
    migrate(f"sqlite:///{tmp_path}/var/lib/kraiter.db")
    assert (tmp_path / "var/lib/kraiter.db").exists()


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite://", "sqlite:///:memory:", "nonsense", ""])
def test_other_databases_are_refused(url: str) -> None:
    """A URL that cannot work is a ValueError, before anything is opened."""
    with pytest.raises(ValueError, match="database URL"):
        make_engine(url)
