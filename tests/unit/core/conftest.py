"""Hypothesis without a deadline: how long a pure rule takes says how busy the machine is."""

from hypothesis import settings

settings.register_profile("core", deadline=None)
settings.load_profile("core")
