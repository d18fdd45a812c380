"""The octets of WatchStatus, made so that messages are joins of their parts.

Concatenated serialised messages merge into one (protobuf encoding, "Last One
Wins"): repeated fields are joined, others set.
"""

from kraiter.domains.v1 import domain_service_pb2 as pb

from service.core.domain import Event
from service.rpc import responses


class WatchCodec:
    """`service.watch.Codec`."""

    def event(self, event: Event, *, full: bool) -> bytes:
        """Return one entry of `WatchStatusResponse.events`, with its tag and length."""
        message = pb.WatchStatusResponse()
        responses.put_event(message.events.add(), event, full=full)
        return message.SerializeToString()

    def message(
        self, events: bytes, *, resume_token: str, snapshot_complete: bool = False, caught_up: bool = False
    ) -> bytes:
        """Return a whole `WatchStatusResponse` with these joined entries."""
        rest = pb.WatchStatusResponse(
            resume_token=resume_token, snapshot_complete=snapshot_complete, caught_up=caught_up
        )
        return events + rest.SerializeToString()
