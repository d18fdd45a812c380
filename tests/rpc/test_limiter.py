"""How many calls and streams there may be, and when none is left."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import pytest

from service.core.errors import Reason, ServiceError
from service.rpc.limiter import Limiter

Kind = Callable[[Limiter], AbstractContextManager[None]]
CALL: Kind = Limiter.call
STREAM: Kind = Limiter.stream
PATIENCE = 10.0


def refusal(kind: Kind, limiter: Limiter) -> Reason | None:
    """Enter and leave again, and return why that is refused."""
    try:
        with kind(limiter):
            return None
    except ServiceError as error:
        return error.reason


@pytest.mark.parametrize(
    ("kind", "other", "reason"),
    [(CALL, STREAM, Reason.RATE_LIMITED), (STREAM, CALL, Reason.TOO_MANY_STREAMS)],
    ids=["calls", "streams"],
)
def test_what_leaves_makes_room(kind: Kind, other: Kind, reason: Reason) -> None:
    """One above the limit is refused until another leaves, also with an error; the other kind is not."""
    limiter = Limiter(calls=2, streams=2, streams_per_key=2)
    with kind(limiter):
        with suppress(ZeroDivisionError), kind(limiter):
            assert refusal(kind, limiter) is reason
            assert refusal(other, limiter) is None
            raise ZeroDivisionError
        assert refusal(kind, limiter) is None


@pytest.mark.parametrize("kind", [CALL, STREAM], ids=["a call", "a stream"])
def test_it_is_idle_when_the_last_has_left(kind: Kind) -> None:
    """Closed, it refuses whatever comes, and waits for what runs."""

    async def close_with_two_inside() -> None:
        limiter = Limiter(calls=5, streams=5, streams_per_key=5)
        with kind(limiter):
            with kind(limiter):
                limiter.close()
                idle = asyncio.create_task(limiter.idle())
                assert refusal(CALL, limiter) is refusal(STREAM, limiter) is Reason.SHUTTING_DOWN
            await asyncio.sleep(0)  # lets it notice
            await asyncio.sleep(0)
            assert not idle.done()
        await asyncio.wait_for(idle, PATIENCE)

    asyncio.run(close_with_two_inside())


def test_it_is_idle_where_nothing_runs() -> None:
    """There is nothing to wait for."""

    async def close() -> None:
        limiter = Limiter(calls=1, streams=1, streams_per_key=1)
        with CALL(limiter), STREAM(limiter):
            pass
        limiter.close()
        await asyncio.wait_for(limiter.idle(), PATIENCE)

    asyncio.run(close())
