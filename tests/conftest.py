"""What holds for every test."""

import os

# Read when grpc is imported. Tests start programs and never fork to go on with
# grpc: its handlers would only run between fork and exec, and write about it.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import hypothesis

from tests.support import logged

__all__ = ["logged"]  # imported for what it sets up

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("kraiter", deadline=None)
hypothesis.settings.load_profile("kraiter")
