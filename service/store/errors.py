"""What becomes of the errors of the drivers: a closed set, without their text."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum, auto

import structlog
from sqlalchemy import exc

from service.core.errors import Reason, ServiceError

log = structlog.get_logger(__name__)

_SERIALIZATION_FAILURE = "40001"
_DEADLOCK_DETECTED = "40P01"


class Failure(Enum):
    """What an error of the database amounts to."""

    LOST_RACE = auto()
    """Another transaction was in the way, and this one was undone."""
    DISCONNECTED = auto()
    """The connection broke; a new one may work."""
    UNAVAILABLE = auto()
    """The database cannot be reached or used now."""
    BUG = auto()
    """The statement was wrong: ours to mend."""


def classify(error: exc.SQLAlchemyError) -> Failure:
    """Return what an error amounts to."""
    match error:
        case exc.IntegrityError():
            # What can be foreseen is asked for first: another was faster.
            return Failure.LOST_RACE
        case exc.DBAPIError() if getattr(error.orig, "sqlstate", None) in {
            _SERIALIZATION_FAILURE,
            _DEADLOCK_DETECTED,
        }:
            return Failure.LOST_RACE
        case exc.DBAPIError(connection_invalidated=True):
            return Failure.DISCONNECTED
        case exc.OperationalError() | exc.InterfaceError() | exc.InternalError() | exc.TimeoutError():
            return Failure.UNAVAILABLE
        case _:
            return Failure.BUG


@contextmanager
def translated() -> Iterator[None]:
    """Turn any error of the database inside into a `ServiceError`.

    Raises:
        ServiceError: DATABASE_UNAVAILABLE, CONCURRENT_CHANGE or INTERNAL.

    """
    try:
        yield
    except exc.SQLAlchemyError as error:
        failure = classify(error)
        cause = getattr(error, "orig", None) or error
        log.warning("database_failed", failure=failure.name.lower(), error=str(cause))
        match failure:
            case Failure.LOST_RACE:
                raise concurrent_change() from error
            case Failure.DISCONNECTED | Failure.UNAVAILABLE:
                raise unavailable() from error
            case Failure.BUG:
                raise ServiceError(Reason.INTERNAL, "the database refused a statement") from error


def unavailable() -> ServiceError:
    """Return the error of a database that cannot be reached or used now."""
    return ServiceError(
        Reason.DATABASE_UNAVAILABLE, "the database cannot be reached now", retry_after=timedelta(seconds=1)
    )


def concurrent_change() -> ServiceError:
    """Return the error of a transaction that lost a race: to be tried again."""
    return ServiceError(Reason.CONCURRENT_CHANGE, "another change was made at the same time: try again")
