"""/api/docs: the API's reference, rendered here from the OpenAPI description that /api/openapi.json serves."""

from fastapi import APIRouter, Request, Response

from api import apidoc
from api.deps import ViewerDep, WebDep
from api.problems import TITLES_ZH

router = APIRouter(include_in_schema=False)


@router.get("/api/docs")
def docs(request: Request, viewer: ViewerDep, web: WebDep) -> Response:
    openapi = request.app.openapi()
    return web.pages.page(
        request,
        "docs.html",
        viewer,
        openapi=openapi,
        rooms=apidoc.operations(openapi),
        models=apidoc.models(openapi),
        problems=TITLES_ZH,
    )
