"""Tests of the sending-domains service."""
