"""The code in the client's README does what it says."""

import re
from typing import NamedTuple

import kraiter
import pytest
from kraiter.domains.v1.domain_pb2 import Domain

from tests.client.conftest import KEY
from tests.client.scripted import Script
from tests.support.server import ROOT
from tests.support.waiting import until

README = (ROOT / "clients/python/README.md").read_text()
NAME = "mail.example.com"


class Message(NamedTuple):
    """What the README sends."""

    domain: str


def _run(script: Script, heading: str, messages: list[Message]) -> list[Message]:
    """Run the code below a heading, and return what it sent."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    sent: list[Message] = []
    with kraiter.Client(script.address, KEY) as client:
        for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
            exec(code, {"client": client, "kraiter": kraiter, "messages": messages, "send": sent.append})  # noqa: S102 - it is ours
    return sent


def test_sending(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """A use is put, listed and removed; counts are reported."""
    script.put(NAME)
    _run(script, "Sending", [])
    assert capsys.readouterr().out == "message-1 ACTIVE\n"
    assert script.uses == {}
    (report,) = script.requests["ReportDeliveries"][0].reports
    assert report.time.seconds > 0


def test_the_send_gate(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """What may be sent is, by both ways of asking; what must not be is not."""
    script.put(NAME)
    script.put("pending.example.com", status=Domain.PENDING)
    good, bad = Message(NAME), Message("pending.example.com")
    assert _run(script, "The send gate", [good, bad, good]) == [good] * 4
    assert "NOT_VERIFIED" in capsys.readouterr().out
    until(lambda: not script.streams)
