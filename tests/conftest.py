"""Fixtures that every suite shares: a live object store, a live PostgreSQL, the sample recordings."""

from hypothesis import settings

pytest_plugins = ["tests.live_store", "tests.live_minio", "tests.live_postgres", "tests.samples"]

# No deadline: an example's time on a busy machine says nothing about the code.
settings.register_profile("huikan", deadline=None)
settings.load_profile("huikan")
