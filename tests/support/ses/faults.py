"""What goes wrong at Amazon SES, when and where a test says so."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from threading import Event, Lock

from tests.support.ses.model import SesError, statuses


class Broken(Enum):
    """An answer that cannot be used.

    botocore takes one that is not whole for one without members, and tells nobody.
    """

    TRUNCATED = auto()
    """Half of the JSON, as if it were all."""
    CUT = auto()
    """The connection breaks in the middle."""
    HTML = auto()
    """502, and a page that tells so, of something on the way."""
    LOST = auto()
    """None: the connection is closed."""


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the event, before or after the effect."""

    over: Event
    after_effect: bool


class _Down:
    """The connection is closed at once."""


_Kind = SesError | Broken | Hang | _Down


@dataclass(slots=True)
class _Fault:
    region: str
    operation: str | None
    """None: each of them."""
    kind: _Kind
    left: float
    """How many requests it will meet."""


class _Bucket:
    """A limit of requests a second; each takes a token or is refused."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._tokens, self._then = burst, clock()

    def take(self) -> bool:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._then) * self._per_second)
        self._then = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Faults:
    """What tests tell to go wrong; any thread may. `operation=None` stands for all of them.

    What a request meets, in this order: the region is down, it hangs, has no permission,
    is beyond the rate, fails as told; or it has its effect, hangs then, and is answered badly.
    """

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self._faults_lock = Lock()
        self._faults: list[_Fault] = []
        self._denied: set[str] = set()
        self._buckets: dict[str, _Bucket] = {}
        self._hangs: list[Hang] = []

    def deny(self, operation: str) -> None:
        """Take the permission for an operation away, in all regions."""
        with self._faults_lock:
            self._denied.add(operation)

    def allow(self, operation: str) -> None:
        """Give the permission back."""
        with self._faults_lock:
            self._denied.discard(operation)

    def limit_rate(
        self,
        region: str,
        per_second: float,
        *,
        burst: float = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Throttle what goes beyond a rate in a region, by a clock in seconds."""
        with self._faults_lock:
            self._buckets[region] = _Bucket(per_second, burst, clock)

    def throttle(self, region: str, times: int = 1, *, operation: str | None = None) -> None:
        """Answer the next requests that they are too many."""
        self.fail(region, "TooManyRequestsException", times, operation=operation)

    def fail(self, region: str, code: str, times: int = 1, *, operation: str | None = None) -> None:
        """Answer the next requests with an error; they have no effect."""
        assert code in statuses(), f"there is no error {code}"
        self._tell(region, operation, SesError(code, "A test wants it so."), times)

    def break_answers(
        self, region: str, broken: Broken, times: int = 1, *, operation: str | None = None
    ) -> None:
        """Spoil or lose the answers of the next requests that get through; they have their effect."""
        self._tell(region, operation, broken, times)

    def lose_answers(self, region: str, times: int = 1, *, operation: str | None = None) -> None:
        """Close the connection of the next requests that get through after their effect."""
        self.break_answers(region, Broken.LOST, times, operation=operation)

    def take_down(self, region: str, *, operation: str | None = None) -> None:
        """Close the connection of every request, without effect, until `mend`."""
        self._tell(region, operation, _Down())

    def hang(self, region: str, *, operation: str | None = None, after_effect: bool = False) -> Event:
        """Leave requests without an answer until the returned event is set, or the server closes.

        They go on then as if nothing had been, also without anybody to take the answer.
        """
        hang = Hang(Event(), after_effect)
        with self._faults_lock:
            self._hangs.append(hang)
        self._tell(region, operation, hang)
        return hang.over

    def mend(self, region: str) -> None:
        """Have nothing go wrong in a region any longer, but for permissions; what hangs goes on."""
        with self._faults_lock:
            mended = [fault for fault in self._faults if fault.region == region]
            self._faults = [fault for fault in self._faults if fault.region != region]
            self._buckets.pop(region, None)
        for fault in mended:
            if isinstance(fault.kind, Hang):
                fault.kind.over.set()

    def _tell(self, region: str, operation: str | None, kind: _Kind, times: float = float("inf")) -> None:
        with self._faults_lock:
            self._faults.append(_Fault(region, operation, kind, times))

    def _is_down(self, region: str, operation: str) -> bool:
        return self._meet(region, operation, lambda kind: isinstance(kind, _Down)) is not None

    def _wait(self, region: str, operation: str, *, after_effect: bool) -> None:
        """Hang where that was told."""

        def hangs(kind: _Kind) -> bool:
            return isinstance(kind, Hang) and kind.after_effect is after_effect and not kind.over.is_set()

        met = self._meet(region, operation, hangs)
        if isinstance(met, Hang):
            met.over.wait()

    def _refuse(self, region: str, operation: str) -> None:
        """Raise the error that a request meets, whatever it asks for."""
        self._require(operation)
        with self._faults_lock:
            bucket = self._buckets.get(region)
            within = bucket is None or bucket.take()
        if not within:
            raise SesError("TooManyRequestsException", "Too many requests.")
        met = self._meet(region, operation, lambda kind: isinstance(kind, SesError))
        if isinstance(met, SesError):
            raise SesError(met.code, str(met))

    def _require(self, operation: str) -> None:
        """Raise the error of whoever may not do something."""
        with self._faults_lock:
            denied = operation in self._denied
        if denied:
            raise SesError("AccessDeniedException", f"User is not authorized to perform: ses:{operation}")

    def _broken(self, region: str, operation: str) -> Broken | None:
        met = self._meet(region, operation, lambda kind: isinstance(kind, Broken))
        return met if isinstance(met, Broken) else None

    def _release(self) -> None:
        """Let everything go on that hangs."""
        with self._faults_lock:
            hangs = list(self._hangs)
        for hang in hangs:
            hang.over.set()

    def _meet(self, region: str, operation: str, wanted: Callable[[_Kind], bool]) -> _Kind | None:
        """Return the first such fault that was told for an operation, and count it."""
        with self._faults_lock:
            for fault in self._faults:
                if (
                    fault.left > 0
                    and fault.region == region
                    and fault.operation in {None, operation}
                    and wanted(fault.kind)
                ):
                    fault.left -= 1
                    return fault.kind
        return None
