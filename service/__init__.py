"""The sending-domains service: `python -m service`."""
