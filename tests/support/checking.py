"""A background check of claimed domains, without the threads that wait for due ones."""

from collections.abc import Sequence

from service import ports
from service.core.domain import Domain
from service.verifier import Verifier
from service.verifier.pipeline import Pipeline
from service.verifier.saving import save

_PATIENCE = 10.0


def check_in_background(verifier: Verifier, claims: Sequence[ports.Claim]) -> Sequence[Domain | None]:
    """Check claimed domains as a thread of the verifier does, and save them together."""
    pipeline = Pipeline(verifier._checks, verifier._resolver, lease=verifier._config.lease)
    pipeline.begin(claims)
    moves: list[ports.CheckedMove] = []
    while pipeline:
        moves += pipeline.finished(within=_PATIENCE)
    assert len(moves) == len(claims)
    return save(verifier._queue, moves)
