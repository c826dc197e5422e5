"""``GET /permits/changes``: what changed in an area, as GeoJSON or as an Atom feed that needs no account."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.permits.changes import Change, ChangedPermit, ChangesPage, ChangesQuery, find_changes
from app.permits.features import render_end
from app.permits.register import Register
from app.problems import PROBLEM_RESPONSES
from app.routes.forms import choose_accepted
from app.routes.permits import href, permit_path, query_parameters
from app.routes.queries import QueryRoute
from app.routes.replies import GEOJSON, Content, base_url, on_snapshot, reply

FeedForm = Literal["geojson", "atom"]
ATOM = "application/atom+xml"
MEDIA_TYPES: dict[FeedForm, str] = {"geojson": GEOJSON, "atom": ATOM}
ACCEPTED: dict[str, FeedForm] = {
    GEOJSON: "geojson",
    "application/json": "geojson",
    ATOM: "atom",
}
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write, not even escaped."""
KINDS = {"new": "new permit", "removed": "removed from the register", "returned": "returned to the register"}
router = APIRouter(prefix="/permits", tags=["permits"], responses=PROBLEM_RESPONSES, route_class=QueryRoute)


@router.get(
    "/changes",
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}},
)
async def changes(request: Request, query: Annotated[ChangesQuery, Query()]) -> Response:
    """Permits that changed since a day, an instant or a run, the last changed first, each with its changes."""
    default: FeedForm = "geojson"
    form = choose_accepted(request, ACCEPTED, default=default) if query.f is None else query.f
    today = request.app.state.settings.today or datetime.now(UTC).date()

    async def produce(session: AsyncSession, register: Register) -> Content:
        page = await find_changes(session, register, query, today=today)
        return render_atom(request, register, query, page) if form == "atom" else render(request, register, query, page)

    depends_on = date.isoformat(today)
    return await reply(
        request, query, on_snapshot(request, produce), media_type=MEDIA_TYPES[form], depends_on=depends_on
    )


def list_links(request: Request, query: ChangesQuery, page: ChangesPage, form: FeedForm) -> dict[str, str]:
    """Give the addresses of this page, of the next one, and of the same in the other form; each says its form."""
    path = request.url.path
    parameters = [pair for pair in query_parameters(query) if pair[0] != "f"]
    first = [pair for pair in parameters if pair[0] != "cursor"]
    links = {"self": href(request, path, [*parameters, ("f", form)])}
    if page.cursor:
        links["next"] = href(request, path, [*first, ("cursor", page.cursor), ("f", form)])
    links["alternate"] = href(request, path, [*parameters, ("f", "atom" if form == "geojson" else "geojson")])
    return links


def render(request: Request, register: Register, query: ChangesQuery, page: ChangesPage) -> Content:
    """Make the page as a FeatureCollection."""
    cities = register.choose_cities(query.city)
    links = list_links(request, query, page, "geojson")
    other = {"alternate": ATOM}
    head = {
        "type": "FeatureCollection",
        "numberReturned": len(page.permits),
        "as_of": register.as_of(cities),
        "since": {city: {"run": floor} for city, floor in page.floors.items()},
        "links": [{"rel": rel, "href": to, "type": other.get(rel, GEOJSON)} for rel, to in links.items()],
    }
    features = b",".join(render_permit(register, permit) for permit in page.permits)
    body = orjson.dumps(head)[:-1] + b',"features":[' + features + b"]}"
    return Content(body, GEOJSON, links.get("next"))


def render_permit(register: Register, permit: ChangedPermit) -> bytes:
    """Make the feature of a permit with its changes."""
    removed = b',"removed":true' if permit.removed else b""
    told = orjson.dumps([render_change(change) for change in permit.changes])
    return permit.feature + removed + b',"changes":' + told + render_end(register, permit.city)


def render_change(change: Change) -> dict[str, Any]:
    """Make the JSON of a change; old and new stand in it where a field changed."""
    said = {"kind": change.kind, "run": change.run, "at": render_instant(change.at)}
    return said | ({"field": change.field, "old": change.old, "new": change.new} if change.kind == "changed" else {})


def render_instant(at: datetime) -> str:
    """Give an instant as RFC 3339 has it, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render_atom(request: Request, register: Register, query: ChangesQuery, page: ChangesPage) -> Content:
    """Make the page as an Atom feed (RFC 4287) with GeoRSS points; pages of one feed have one id (RFC 5005)."""
    root = ElementTree.Element(
        "feed", {"xmlns": "http://www.w3.org/2005/Atom", "xmlns:georss": "http://www.georss.org/georss"}
    )
    about = [pair for pair in query_parameters(query) if pair[0] not in {"since", "limit", "cursor", "f"}]
    add(root, "id", name_tag(request, "/permits/changes" + (f"?{urlencode(about)}" if about else "")))
    add(root, "title", f"Changed permits: {', '.join(register.choose_cities(query.city))}")
    newest = max((permit.changes[0].at for permit in page.permits), default=register.published_at)
    add(root, "updated", render_instant(newest))
    add(add(root, "author"), "name", "Undervolt")
    links = list_links(request, query, page, "atom")
    for rel, to in links.items():
        add(root, "link", rel=rel, href=to, type=GEOJSON if rel == "alternate" else ATOM)
    for permit in page.permits:
        add_entry(request, root, permit)
    body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return Content(body, ATOM, links.get("next"))


def add_entry(request: Request, root: ElementTree.Element, permit: ChangedPermit) -> None:
    """Add the entry of a permit; its next change is an entry of its own, so that a reader shows it."""
    properties = orjson.loads(permit.feature + b"}}")
    path, newest = permit_path(permit.city, permit.source_id), permit.changes[0]
    number = properties["properties"]["permit_number"] or permit.source_id
    entry = add(root, "entry")
    add(entry, "id", name_tag(request, f"{path}#run-{newest.run}"))
    add(entry, "title", f"{number}: {name_changes(permit.changes)}")
    add(entry, "updated", render_instant(newest.at))
    add(entry, "link", rel="alternate", href=href(request, path), type=GEOJSON)
    for category in properties["properties"]["categories"]:
        add(entry, "category", term=category)
    address, description = (properties["properties"][name] for name in ("original_address1", "description"))
    lines = [address, description, *(describe(change) for change in permit.changes)]
    add(entry, "content", "\n".join(line for line in lines if line), type="text")
    if properties["geometry"]:
        lng, lat = properties["geometry"]["coordinates"]
        add(entry, "georss:point", f"{lat} {lng}")


def add(parent: ElementTree.Element, name: str, text: str | None = None, **attributes: str) -> ElementTree.Element:
    """Add an element whose text is text, whatever a source wrote into it."""
    clean = {key: NOT_XML.sub("\ufffd", value) for key, value in attributes.items()}
    element = ElementTree.SubElement(parent, name, clean)
    element.text = None if text is None else NOT_XML.sub("\ufffd", text)
    return element


def name_tag(request: Request, about: str) -> str:
    """Name something of this service for good (RFC 4151)."""
    return f"tag:{urlsplit(base_url(request)).hostname},2026:{about}"


def name_changes(changes: Iterable[Change]) -> str:
    """Say in a few words what became of a permit, each once."""
    return ", ".join(dict.fromkeys(change.field or KINDS[change.kind] for change in changes))


def describe(change: Change) -> str:
    """Say a change in a line."""
    if change.kind != "changed":
        return f"{render_instant(change.at)} {KINDS[change.kind]}"
    return f"{render_instant(change.at)} {change.field}: {tell(change.old)} \u2192 {tell(change.new)}"


def tell(value: object) -> str:
    """Say a value as text."""
    return "nothing" if value in (None, []) else value if isinstance(value, str) else orjson.dumps(value).decode()
