"""What the README says of the program is so."""

import re
from pathlib import Path

from service import settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_settings_table_is_the_programs() -> None:
    """`python -m service settings` prints it."""
    between = README.split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    assert between.strip() == settings.table()


def test_every_make_target_that_it_names_exists() -> None:
    """Nobody is sent to a command that is not there."""
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", README))
    assert named
    assert named <= targets


def test_every_file_that_it_names_exists() -> None:
    """Paths in the text lead somewhere."""
    named = set(re.findall(r"`((?:service|tests|protos|clients)/[a-z_./]*)`", README))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
