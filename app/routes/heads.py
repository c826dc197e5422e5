"""HEAD wherever there is GET: the same status and headers, and no body (RFC 9110, section 9.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS_ONLY = "undervolt.headers_only"


class HeadMiddleware:
    """Has HEAD answered as GET, and keeps the body back; what is costly to send looks at :func:`wants_headers`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, HEAD as GET."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})

        await self.app({**scope, "method": "GET", HEADERS_ONLY: True}, receive, send_headers)


def wants_headers(scope: Scope) -> bool:
    """Tell whether nothing but the headers of a reply is sent."""
    return HEADERS_ONLY in scope
