"""The store: domains, checks, events and keys on SQLite and PostgreSQL."""
