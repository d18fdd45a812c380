"""Foreign text made safe to show: escaped and cut."""

CUT = "…"
"""Ends a text that was cut."""


def escaped(text: str, longest: int) -> str:
    """Return `text` in at most `longest` characters, each of them printable.

    What is not printable (control characters, bidirectional overrides, lone
    surrogates) is backslash-escaped, so that a value from a hostile zone can
    neither break a log line nor reorder the text around it.
    """
    if len(text) <= longest and text.isprintable():
        return text  # as nearly everything is
    shown = "".join(map(_escaped_character, text[: longest + 1]))
    return shown if len(shown) <= longest else shown[: longest - 1] + CUT


def _escaped_character(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
