"""Foreign text made safe to show."""

from hypothesis import given
from hypothesis import strategies as st

from service.core import quoting


def test_plain_text_is_shown_as_it_is() -> None:
    """What is printable, in any script, needs no escape."""
    assert quoting.escaped('v="m\u00fcnchen"', 255) == 'v="m\u00fcnchen"'


def test_control_characters_are_escaped() -> None:
    """Neither a line break nor a bidirectional override reaches the reader."""
    assert quoting.escaped("a\nb\u202ec", 255) == "a\\nb\\u202ec"


def test_a_long_text_is_cut_and_says_so() -> None:
    """Exactly the length allowed is kept whole, one more is cut."""
    assert quoting.escaped("a" * 10, 10) == "a" * 10
    assert quoting.escaped("a" * 11, 10) == "a" * 9 + quoting.CUT


@given(st.text(), st.integers(1, 20))
def test_any_text_fits(text: str, longest: int) -> None:
    """However it is escaped, the text is printable and no longer than allowed."""
    shown = quoting.escaped(text, longest)
    assert len(shown) <= longest
    assert shown.isprintable()
