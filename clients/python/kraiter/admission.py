"""How long messages have to wait at a send gate: the same for sync and asyncio."""

import math
import time
from collections.abc import Callable

from kraiter import errors
from kraiter.decisions import Decision
from kraiter.domains.v1.sending_service_pb2 import SendDecision
from kraiter.token_bucket import TokenBucket

LOOK_AGAIN = 1.0
"""How long to wait at most before the decision is looked at again, in seconds."""


class Admission:
    """Holds what a gate lets through to the decisions, and counts it where a domain is throttled."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # They stay when a domain recovers: it may be throttled again within the hour.
        self._buckets: dict[str, TokenBucket] = {}

    def delay(self, domain: str, decision: Decision) -> float:
        """Return the seconds until a message may be sent, infinite where that is not known.

        With 0 the message is counted.
        """
        match decision.decision:
            case SendDecision.ALLOW:
                return 0.0
            case SendDecision.THROTTLE:
                bucket = self._buckets.setdefault(domain, TokenBucket())
                return bucket.take(decision.messages_per_hour, self._clock())
            case _:
                return math.inf

    def pause(self, domain: str, decision: Decision) -> float:
        """Return how long a message has to wait before the decision is looked at again; 0 lets it through.

        Raises:
            SendRejected: the domain must not send.

        """
        if decision.decision == SendDecision.REJECT:
            raise errors.SendRejected(domain, SendDecision.Reason.Name(decision.reason))
        return min(self.delay(domain, decision), LOOK_AGAIN)
