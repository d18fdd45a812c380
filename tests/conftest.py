"""What holds for every test."""

import hypothesis

from tests.support import logged

__all__ = ["logged"]  # imported for what it sets up

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("kraiter", deadline=None)
hypothesis.settings.load_profile("kraiter")
