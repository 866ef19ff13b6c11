"""A receipt is had for its ticket and for nothing else."""

from hashlib import sha256

from tests.api.school import STAFF, School

TICKET = "f" * 64


def test_a_ticket_tells_what_became_of_what_was_sent_with_it(school: School) -> None:
    hashed = sha256(TICKET.encode()).hexdigest()
    client = school.nobody()

    def told() -> tuple[int, str]:
        answer = client.get("/api/receipt", headers={"X-Huikan-Receipt": TICKET})
        return answer.status_code, answer.json().get("state", "")

    assert told() == (404, "")
    lesson = school.arrive()
    school.catalog.receipts.note(hashed, recording_id=lesson.recording_id)
    assert told() == (200, "receiving")
    school.catalog.receipts.note(hashed, recording_id=lesson.recording_id, sha256="a" * 64)
    assert told() == (200, "received")
    school.catalog.receipts.note(hashed, reason_zh="别的事")  # received stays received
    answer = client.get("/api/receipt", headers={"X-Huikan-Receipt": TICKET})
    assert (answer.json()["sha256"], answer.headers["cache-control"]) == ("a" * 64, "no-store")
    school.catalog.outputs.refuse(lesson.recording_id, "unreadable", "x", "文件已损坏。")
    assert told() == (200, "refused")


def test_neither_a_role_nor_the_hash_of_a_ticket_is_one(school: School) -> None:
    hashed = sha256(TICKET.encode()).hexdigest()
    school.catalog.receipts.note(hashed, sha256="a" * 64)
    for client in (school.nobody(), school.program(STAFF)):
        assert client.get("/api/receipt").status_code == 404
        assert client.get("/api/receipt", headers={"X-Huikan-Receipt": hashed}).status_code == 404
        assert client.get(f"/api/receipt?ticket={TICKET}").status_code == 404
