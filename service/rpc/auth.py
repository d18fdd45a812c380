"""Who calls: API keys, looked up through a short-lived cache."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import structlog

from service import ports
from service.core import keys
from service.core.errors import Reason, ServiceError
from service.core.keys import Key
from service.usecases.caller import Caller

_log = structlog.get_logger(__name__)

_FRESH_SECONDS = 0.4
"""How long a look-up counts: with a slow one on top, still within a second."""
_RECHECK_SECONDS = 0.5
_MOST_CACHED = 10_000
_THREADS = 2  # its own, so that a revocation never waits behind slow calls

End = Callable[[ServiceError], None]


class Authenticator:
    """Turns the `authorization` of calls into callers. Lives on the event loop.

    A key that is revoked stops working within a second: calls see it when the
    cached look-up has aged, open streams when their keys are checked again.
    """

    def __init__(self, store: ports.KeyStore, clock: ports.Clock) -> None:
        """Take the keys; nothing is looked up before it is needed."""
        self._store = store
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="auth")
        self._cached: dict[str, tuple[Key, float]] = {}
        self._admitted: dict[str, tuple[Caller, float]] = {}
        self._wanted: dict[str, asyncio.Future[Key | None]] = {}
        self._look_up: asyncio.Task[None] | None = None
        self._streams: dict[str, set[End]] = {}
        self._recheck: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to check the keys of open streams."""
        self._recheck = asyncio.create_task(self._recheck_for_ever())

    async def stop(self) -> None:
        """Stop checking."""
        for task in (self._recheck, self._look_up):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._threads.shutdown(wait=False, cancel_futures=True)

    def known(self, authorization: str | None) -> Caller | None:
        """Return the caller where that was found out just now; else None, and `authenticate` tells."""
        caller, asked = self._admitted.get(authorization or "", (None, 0.0))
        return caller if time.monotonic() - asked <= _FRESH_SECONDS else None

    async def authenticate(self, authorization: str | None) -> Caller:
        """Return the caller that the value of an `authorization` entry stands for.

        Raises:
            ServiceError: MISSING_KEY, INVALID_KEY, KEY_EXPIRED, KEY_REVOKED,
                and what the store raises.

        """
        if caller := self.known(authorization):
            return caller
        if authorization is None:
            raise ServiceError(
                Reason.MISSING_KEY, "send the API key as metadata `authorization: Bearer kr_...`"
            )
        scheme, _, text = authorization.partition(" ")
        parts = keys.split(text.strip())
        if scheme.lower() != "bearer" or parts is None:
            raise _invalid_key()
        key_id, secret = parts
        key = self._fresh(key_id) or await self._find(key_id)
        if key is None:
            # An unknown key takes as long to refuse as a wrong secret.
            keys.digest_of(secret)
            raise _invalid_key()
        if not key.matches(secret):
            raise _invalid_key()
        if problem := self._problem(key):
            raise problem
        caller = Caller.of(key)
        if key.expire_time is None:
            self._admit(authorization, caller)
        return caller

    def _admit(self, authorization: str, caller: Caller) -> None:
        """Spare the next calls with the same key its check, for as long as its look-up counts."""
        if len(self._admitted) >= _MOST_CACHED:
            self._admitted.clear()
        _, asked = self._cached.get(caller.key_id, (None, 0.0))
        self._admitted[authorization] = caller, asked

    @contextmanager
    def watching(self, key_id: str, end: End) -> Iterator[None]:
        """Have `end` called as soon as the key stops being valid."""
        ends = self._streams.setdefault(key_id, set())
        ends.add(end)
        try:
            yield
        finally:
            ends.discard(end)
            if not ends:
                self._streams.pop(key_id, None)

    def _fresh(self, key_id: str) -> Key | None:
        key, fetched = self._cached.get(key_id, (None, 0.0))
        return key if time.monotonic() - fetched <= _FRESH_SECONDS else None

    async def _find(self, key_id: str) -> Key | None:
        """Look a key up; whoever comes meanwhile shares one query."""
        future = self._wanted.get(key_id)
        if future is None:
            future = self._wanted[key_id] = asyncio.get_running_loop().create_future()
            if self._look_up is None or self._look_up.done():
                self._look_up = asyncio.create_task(self._find_wanted())
        # One caller that goes away must not take the answer from the others.
        return await asyncio.shield(future)

    async def _find_wanted(self) -> None:
        while wanted := self._wanted:
            self._wanted = {}
            try:
                found = await self._load(frozenset(wanted))
            except Exception as error:  # noqa: BLE001 - handed to every caller that waits
                for future in wanted.values():
                    future.set_exception(error)
                    # Marks it as seen, also where every caller has gone.
                    future.exception()
            else:
                for key_id, future in wanted.items():
                    future.set_result(found.get(key_id))

    async def _load(self, ids: frozenset[str]) -> Mapping[str, Key]:
        # The age counts from before the query: what it saw is no younger.
        asked = time.monotonic()
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._store.find_keys, ids)
        for key_id, key in found.items():
            self._cached.pop(key_id, None)
            self._cached[key_id] = (key, asked)
        # Only keys that exist are kept, so that guesses cannot push them out.
        while len(self._cached) > _MOST_CACHED:
            del self._cached[next(iter(self._cached))]
        return found

    def _problem(self, key: Key) -> ServiceError | None:
        if key.revoke_time is not None:
            return ServiceError(Reason.KEY_REVOKED, "this API key was revoked")
        if key.expire_time is not None and key.expire_time <= self._clock.now():
            return ServiceError(Reason.KEY_EXPIRED, "this API key has expired")
        return None

    async def _recheck_for_ever(self) -> None:
        is_away = False
        while True:
            await asyncio.sleep(_RECHECK_SECONDS)
            if not self._streams:
                continue
            try:
                await self._recheck_streams()
                is_away = False
            except ServiceError as error:
                # Streams outlive a database that is away for a while.
                if not is_away:
                    _log.warning("key_recheck_interrupted", reason=error.reason)
                is_away = True
            except Exception:  # noqa: BLE001 - a task that dies would go unseen, and every key stay valid
                _log.exception("key_recheck_failed")

    async def _recheck_streams(self) -> None:
        watched = frozenset(self._streams)
        found = await self._load(watched)
        for key_id in watched:
            key = found.get(key_id)
            problem = _invalid_key() if key is None else self._problem(key)
            if problem is not None:
                for end in tuple(self._streams.get(key_id, ())):
                    end(problem)


def _invalid_key() -> ServiceError:
    return ServiceError(Reason.INVALID_KEY, "this API key is not known")
