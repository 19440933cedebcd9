"""Refuse requests from other sites' pages and by DNS rebinding; forbid browsers what the page does not need."""

import ipaddress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'{more}; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that answers the page's own requests alone.

    At a ``host`` of loopback, it answers names and addresses of loopback; else this name and any address that is a
    number: a name that somebody else's DNS points here is neither.
    """

    def __init__(self, app, host: str, port: int):
        self.app, self.host, self.port = app, host.lower(), port

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal, host = self.refusal(scope), Headers(scope=scope).get("host")
        policy = POLICY.format(more="" if refusal else f" ws://{host}")

        async def sending(message):
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, "Content-Security-Policy": policy}.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = PlainTextResponse(refusal, 403) if refusal else self.app
        await answer(scope, receive, sending)

    def refusal(self, scope) -> str | None:
        """Why a request is refused; ``None`` if it is not."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return "this server answers under its own address alone"
        origins = headers.getlist("origin")
        if any(origin != f"http://{hosts[0]}" for origin in origins) or len(origins) > 1:
            return "a page of another site asked for this"
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not (reads or origins):
            return "this takes the page itself to ask for it"
        opens = scope["type"] == "http" and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opens:
            return "a page of another site asked for this"
        return None

    def _is_ours(self, value: str) -> bool:
        value = value.lower()
        name = value.removesuffix(f":{self.port}")
        if name == value and self.port != 80:  # which browsers leave out
            return False
        try:
            address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name in ("localhost", self.host)
        return address.is_loopback or not is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which nobody else reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
