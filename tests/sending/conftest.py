"""Stores under the memory that CheckSending answers from."""

from tests.store.conftest import clock, engine, open_one, postgres, store, url

__all__ = ["clock", "engine", "open_one", "postgres", "store", "url"]
