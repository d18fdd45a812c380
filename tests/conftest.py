"""What holds for every test."""

import hypothesis

from service import logs

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("kraiter", deadline=None)
hypothesis.settings.load_profile("kraiter")

# As the service does, or a traceback would be drawn with every local variable.
logs.configure("json", "info")
