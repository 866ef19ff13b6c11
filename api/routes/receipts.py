"""/api/receipt: what became of what was sent with a ticket. The ticket is all that is asked for, and it stands in no URL."""

from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Header, Response

from api.deps import WebDep
from api.problems import absent
from api.routes.asking import problems
from api.schemas import TicketOut

router = APIRouter(prefix="/api", tags=["录播主机"], responses=problems(404, 503))

Ticket = Annotated[
    str, Header(alias="X-Huikan-Receipt", max_length=200, description="上传时只交了它的 sha256 的那张票")
]


@router.get("/receipt", summary="录像收到了没有")
def receipt(web: WebDep, response: Response, ticket: Ticket = "") -> TicketOut:
    """录播主机凭票查询：receiving 还没收全，received 已经安全存好（sha256 是收到的全部内容），refused 收不下（及原因）。

    票是上传者自己生成的 256 位随机数；服务器只知道它的散列。不认识的票一律是 404。
    """
    found = web.catalog.receipts.of(sha256(ticket.encode(errors="surrogateescape")).hexdigest()) if ticket else None
    if found is None:
        raise absent()
    response.headers["Cache-Control"] = "no-store"
    return TicketOut(state=found.state, sha256=found.sha256, reason_zh=found.reason_zh)
