"""``/``: the map page, from files of this service alone."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

WEB = Path(__file__).parent.parent / "web"
POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

router = APIRouter(include_in_schema=False)
files = StaticFiles(directory=WEB)


@router.get("/", response_class=FileResponse)
async def page() -> FileResponse:
    """The map page."""
    return FileResponse(WEB / "index.html", headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"})
