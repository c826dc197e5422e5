"""``GET /permits/changes``: what changed inside an area, as GeoJSON, or as an Atom feed that a reader subscribes to."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from xml.etree import ElementTree

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.changes import Change, ChangedPermit, ChangesPage, ChangesQuery, find_changes, render_instant
from app.permits.features import render_feature
from app.permits.register import Register
from app.problems import PROBLEM_RESPONSES
from app.routes.permits import href, permit_path, query_parameters
from app.routes.queries import QueryRoute
from app.routes.replies import GEOJSON, Content, on_snapshot, reply

ATOM = "application/atom+xml"
ATOM_SPACE = "http://www.w3.org/2005/Atom"
GEORSS_SPACE = "http://www.georss.org/georss"
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no place for, escaped or not."""
KINDS = {"new": "new", "changed": "changed", "removed": "withdrawn by the city", "returned": "told by the city again"}
router = APIRouter(prefix="/permits", tags=["permits"], responses=PROBLEM_RESPONSES, route_class=QueryRoute)

ElementTree.register_namespace("", ATOM_SPACE)
ElementTree.register_namespace("georss", GEORSS_SPACE)


@router.get("/changes", response_class=Response, responses={200: {"content": {GEOJSON: {}, ATOM: {}}}})
async def changes(request: Request, query: Annotated[ChangesQuery, Query()]) -> Response:
    """Permits that changed since a day, an instant or a run, field by field, the newest change first.

    A permit is judged by what it is now, its place too. As an Atom feed (``f=atom``) a saved area is an address that a
    feed reader takes, without an account.
    """
    is_atom = query.f == "atom" or (query.f is None and ATOM in request.headers.get("accept", ""))
    # Of what is meant by the last days only the day counts, so that a reader is told "not modified" for as long.
    now = datetime.now(UTC)

    async def produce(session: AsyncSession, register: Register) -> Content:
        page = await find_changes(session, register, query, now=now.replace(hour=0, minute=0, second=0, microsecond=0))
        return (render_feed if is_atom else render_changes)(request, register, query, page)

    depends_on = now.date().isoformat() if query.since is None else ""
    media_type = ATOM if is_atom else GEOJSON
    return await reply(request, query, on_snapshot(request, produce), media_type=media_type, depends_on=depends_on)


def find_links(request: Request, query: ChangesQuery, page: ChangesPage) -> tuple[str, str | None]:
    """Give the address of the page and that of the next one."""
    parameters = query_parameters(query)
    kept = [pair for pair in parameters if pair[0] != "cursor"]
    following = href(request, request.url.path, [*kept, ("cursor", page.cursor)]) if page.cursor else None
    return href(request, request.url.path, parameters), following


def render_changes(request: Request, register: Register, query: ChangesQuery, page: ChangesPage) -> Content:
    """Make the FeatureCollection of a page."""
    own, following = find_links(request, query, page)
    links = [{"rel": "self", "href": own}, *([{"rel": "next", "href": following}] if following else [])]
    document = {
        "type": "FeatureCollection",
        "numberReturned": len(page.permits),
        "as_of": register.as_of(register.choose_cities(query.city)),
        "begins": {city: render_instant(at) for city, at in page.begins.items()},
        "links": links,
        "features": [render_changed(permit, register) for permit in page.permits],
    }
    return Content(orjson.dumps(document), GEOJSON, following)


def render_changed(permit: ChangedPermit, register: Register) -> dict[str, Any]:
    """Make the feature of a permit that changed."""
    feature = render_feature(permit.row, register)
    feature["properties"] |= {
        "change": permit.kind,
        "changed_run": permit.run.run,
        "changed_at": render_instant(permit.run.at),
        "changes": [
            {
                "field": change.field,
                "old": change.old,
                "new": change.new,
                "run": change.run.run,
                "at": render_instant(change.run.at),
            }
            for change in permit.changes
        ],
    }
    return feature


def render_feed(request: Request, register: Register, query: ChangesQuery, page: ChangesPage) -> Content:
    """Make the Atom feed (RFC 4287) of a page, with GeoRSS points."""
    own, following = find_links(request, query, page)
    feed = ElementTree.Element(_name("feed"))
    first = href(request, request.url.path, [pair for pair in query_parameters(query) if pair[0] != "cursor"])
    _add(feed, "id", first)
    cities = register.choose_cities(query.city)
    _add(feed, "title", f"Building permits that changed: {', '.join(cities) or 'none loaded'}")
    newest = max((permit.run.at for permit in page.permits), default=register.published_at)
    _add(feed, "updated", render_instant(newest))
    _add(ElementTree.SubElement(feed, _name("author")), "name", "Undervolt")
    _add(feed, "link", rel="self", type=ATOM, href=own)
    alternate = [*(pair for pair in query_parameters(query) if pair[0] != "f"), ("f", "geojson")]
    _add(feed, "link", rel="alternate", type=GEOJSON, href=href(request, request.url.path, alternate))
    if following:
        _add(feed, "link", rel="next", type=ATOM, href=following)
    for permit in page.permits:
        _add_entry(request, feed, permit)
    return Content(ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True), ATOM, following)


def _add_entry(request: Request, feed: ElementTree.Element, permit: ChangedPermit) -> None:
    row = permit.row
    page = href(request, permit_path(row.city, row.source_id))
    entry = ElementTree.SubElement(feed, _name("entry"))
    _add(entry, "id", f"{page}#run-{permit.run.run}")
    address = f", {row.original_address1}" if row.original_address1 else ""
    _add(entry, "title", f"{row.permit_number or row.source_id}: {KINDS[permit.kind]}{address}")
    _add(entry, "updated", render_instant(permit.run.at))
    _add(entry, "link", rel="alternate", type=GEOJSON, href=page)
    _add(entry, "content", render_text(permit), type="text")
    if row.lat is not None:
        ElementTree.SubElement(entry, f"{{{GEORSS_SPACE}}}point").text = f"{row.lat:.6f} {row.lng:.6f}"


def render_text(permit: ChangedPermit) -> str:
    """Tell a permit and its changes in lines of plain text."""
    row = permit.row
    told = (row.description, row.status_current, f"issued {row.issued_date}" if row.issued_date else None)
    return "\n".join([*(line for line in told if line), *map(render_line, permit.changes)])


def render_line(change: Change) -> str:
    """Tell one change."""
    old, new = ("nothing" if value in (None, []) else value for value in (change.old, change.new))
    return f"{change.field}: {old} -> {new}"


def _add(parent: ElementTree.Element, name: str, text: str | None = None, **attributes: str) -> None:
    element = ElementTree.SubElement(parent, _name(name), attributes)
    element.text = NO_XML.sub("\N{REPLACEMENT CHARACTER}", text) if text is not None else None


def _name(name: str) -> str:
    return f"{{{ATOM_SPACE}}}{name}"
