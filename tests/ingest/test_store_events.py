"""Which of the store's events name an upload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.recorder import object_named_in
from tests.ingest.recorders import OWN


def event(path: str, kind: str = "create", *, directory: bool = False) -> dict[str, object]:
    parent, _, name = path.rpartition("/")
    entry: dict[str, object] = {"name": name, "attributes": {"file_size": 4}}
    if directory:
        entry["is_directory"] = True
    return {"event_type": kind, "key": path, "message": {"new_entry": entry, "new_parent_path": parent}}


class TestEvents:
    @pytest.mark.parametrize("kind", ["create", "update"])
    def test_a_written_object_is_named(self, kind: str) -> None:
        assert object_named_in(event(f"/buckets/incoming/{OWN}", kind)) == ("incoming", OWN)
        assert object_named_in(event("/buckets/incoming/课 一+%20.mp4", kind)) == ("incoming", "课 一+%20.mp4")

    @pytest.mark.parametrize(
        "told",
        [
            event(f"/buckets/incoming/{OWN}", "delete"),
            event(f"/buckets/incoming/{OWN}", "rename"),
            event("/buckets/incoming/xinghuo", directory=True),
            event("/buckets/incoming", directory=True),
            event("/buckets/incoming"),
            event("/buckets/incoming/.uploads", directory=True),
            event("/buckets/incoming/.uploads/6a66_a479/0001_8781.part"),
            event("/etc/iam/identities/huikan.json"),
            event("/etc/buckets/incoming/x.mp4"),
            {"event_type": "create", "key": f"/buckets/incoming/{OWN}"},
            {"event_type": "create", "message": {"old_entry": {"name": "x"}}},
            {"event_type": "create", "message": {"new_entry": {"name": ""}, "new_parent_path": "/buckets/incoming"}},
            {"event_type": "create", "message": {"new_entry": {"name": 7}, "new_parent_path": "/buckets/incoming"}},
            {"event_type": "create", "message": ["new_entry"]},
            {},
        ],
        ids=str,
    )
    def test_everything_else_is_not(self, told: dict[str, object]) -> None:
        assert object_named_in(told) is None

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "event_type": st.sampled_from(["create", "update"]) | JSON,
                "message": JSON
                | st.fixed_dictionaries(
                    {},
                    optional={
                        "new_entry": JSON | st.fixed_dictionaries({}, optional={"name": JSON, "is_directory": JSON}),
                        "new_parent_path": JSON | st.just("/buckets/incoming"),
                    },
                ),
            },
        )
    )
    def test_whatever_anybody_sends_is_an_answer_and_no_error(self, told: dict[str, object]) -> None:
        named = object_named_in(told)
        assert named is None or all(named)
