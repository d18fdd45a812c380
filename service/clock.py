"""The system's clock."""

from datetime import UTC, datetime


class SystemClock:
    """Tells the time of day of this machine."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        return datetime.now(UTC)
