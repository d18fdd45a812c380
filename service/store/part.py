"""What every part of the store stands on."""

from service.ports import Clock
from service.store.database import Database
from service.store.hints import Hints


class Part:
    """One group of the store's methods."""

    def __init__(self, database: Database, clock: Clock, hints: Hints) -> None:
        """Take what all parts share."""
        self._database = database
        self._clock = clock
        self._hints = hints

    def close(self) -> None:
        """Close what this part alone uses, and then what the next one does."""
