"""Fixtures that every suite shares: a live object store, a live PostgreSQL, the sample recordings."""

pytest_plugins = ["tests.live_store", "tests.live_postgres", "tests.samples"]
