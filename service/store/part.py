"""What every part of the store stands on."""

from service.ports import Clock
from service.store.database import Database
from service.store.hints import Hints
from service.store.lookups import LookUps


class Part:
    """One group of the store's methods."""

    def __init__(self, database: Database, clock: Clock, hints: Hints) -> None:
        """Take what all parts share."""
        self._database = database
        self._look_ups = LookUps(database.engine)
        self._clock = clock
        self._hints = hints

    def close(self) -> None:
        """Close what the parts use beside the database."""
        self._look_ups.close()
