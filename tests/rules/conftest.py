"""`make prove` asks ten times as many examples of the laws as `make test` does."""

from hypothesis import settings

settings.register_profile("prove", max_examples=2_000, deadline=None, print_blob=True)
