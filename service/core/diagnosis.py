"""What an examination of the service's surroundings comes to."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should look at it."""
    FAILURE = "failure"
    """It does not work."""


class Diagnosis(NamedTuple):
    """How one thing stands, in a line."""

    level: Level
    subject: str
    """What was looked at, in a word or two."""
    text: str
    """What was seen."""
    advice: str = ""
    """What to do about it, in one sentence. Empty where nothing is to be done."""


def ok(subject: str, text: str) -> Diagnosis:
    """Return that a thing is as it should be."""
    return Diagnosis(Level.OK, subject, text)


def warning(subject: str, text: str, advice: str) -> Diagnosis:
    """Return that somebody should look at a thing."""
    return Diagnosis(Level.WARNING, subject, text, advice)


def failure(subject: str, text: str, advice: str) -> Diagnosis:
    """Return that a thing does not work."""
    return Diagnosis(Level.FAILURE, subject, text, advice)
