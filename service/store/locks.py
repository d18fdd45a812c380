"""The order in which transactions lock, so that none waits for another in a circle.

1. names (`lock_names`), by name: what several tenants have in common, from
   before there is any row of it, and the identity of it at the provider;
2. rows of `checks`, by generation: each stands for its domain;
3. names that are VERIFIED, by name: entries of the index `domains_one_verified`;
4. rows of `uses`, and then of `active_uses`, by their keys;
5. rows of `counted_events`, of `deliveries`, of `assessments`, and of `dead_letters`, by their keys;
6. rows of `provider_identities`, by name and region, and then of `provider_polls`;
7. rows of `tenants`, by id: they give revisions, and so come last.

SQLite has one lock for all, which every writing transaction takes first.
"""

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, func, select

from service.store.tables import domains

_LOCK_NAME = select(
    func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=domains.c.name.type), 0))
)


def lock_names(connection: Connection, names: Collection[str]) -> None:
    """Lock names until the transaction ends, for all tenants."""
    if connection.dialect.name == "postgresql":
        for name in sorted(names):
            connection.execute(_LOCK_NAME, {"name": name})
