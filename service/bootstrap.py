"""The first key of a new database, so that somebody can call at all."""

import os
from pathlib import Path

import structlog

from service.core import keys
from service.usecases.manage_keys import ManageKeys
from service.usecases.manage_tenants import DEFAULT_TENANT

_log = structlog.get_logger(__name__)


def ensure_first_key(manage: ManageKeys, *, given: str | None, key_file: Path | None) -> Path | None:
    """See that a new database has a key, and return the file that it was written to.

    A key that is `given` is adopted. Otherwise, where the database has no key
    and there is a `key_file` to write to, one is made for the tenant
    `default`; the file can be read by its owner alone.
    """
    if given is not None:
        manage.adopt(given, DEFAULT_TENANT)
        return None
    if key_file is None or manage.list():
        return None
    text = keys.join(*keys.generate())
    manage.adopt(text, DEFAULT_TENANT)
    key_file.parent.mkdir(parents=True, exist_ok=True)
    # Never there with other rights, not even for a moment.
    key_file.unlink(missing_ok=True)
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    _log.info("first_key_written", file=str(key_file))
    return key_file
