"""Property tests here have no deadline: a first call may compile a kernel."""

from hypothesis import settings

settings.register_profile("precompiles", deadline=None)
settings.load_profile("precompiles")
