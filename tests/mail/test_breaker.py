"""The circuit breaker: open after three silences, and not for long."""

from service.mail.ses.breaker import Breaker


def test_it_opens_after_three_silences_in_a_row_and_lets_try_again() -> None:
    """Five seconds each time, until there is an answer."""
    now = 100.0
    breaker = Breaker(lambda: now)
    for _ in range(2):
        breaker.note_silence()
    assert not breaker.is_open
    breaker.note_answer()
    for _ in range(3):
        assert not breaker.is_open
        breaker.note_silence()
    assert breaker.is_open
    now = 105.0
    assert not breaker.is_open
    breaker.note_silence()
    assert breaker.is_open
    breaker.note_answer()
    assert not breaker.is_open
