"""Who may use a server on this machine: the one who was given its token."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.websockets import WebSocketClose

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Guard:
    """Lets requests through to an application that come with its token and from its own pages.

    Other users of the machine can connect to 127.0.0.1 too, and so can the pages of other sites through the browser of
    this user. The token comes as `Authorization: Bearer TOKEN` (MLflow's clients send MLFLOW_TRACKING_TOKEN so), as a
    cookie, or as `?token=TOKEN`, which sets the cookie.

    Args:
        app: what is guarded.
        port: where it listens; the names `127.0.0.1` and `localhost` alone are accepted for the host, so that no other
            name can be made to point here.
    """

    def __init__(self, app: ASGIApp, token: str, port: int):
        self.app, self.token = app, token
        self.cookie = f"siconvnet-ui-{port}"
        self.hosts = {f"{host}:{port}" for host in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] == "lifespan" else self._refusal(HTTPConnection(scope))
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        """What is answered in the application's stead, if it must not see a request."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if host not in self.hosts:
            return PlainTextResponse(f"This server is not {host!r}; use the link that it printed.\n", 403)
        # A browser sends the cookie of one port with requests that pages of another port make.
        if origin is not None and origin != f"http://{host}":
            return PlainTextResponse("Pages of other servers have no access.\n", 403)
        if "token" in request.query_params and self._is_token(request.query_params["token"]):
            return self._login(request)
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if self._is_token(request.cookies.get(self.cookie, "")) or (kind == "Bearer" and self._is_token(given)):
            return None
        text = "Open the link that benchmark ui printed: it logs this browser in.\n"
        return PlainTextResponse(text, 401, headers={"WWW-Authenticate": "Bearer"})

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())

    def _login(self, request: HTTPConnection) -> Response:
        """To the same page without the token, which would stay in the history of the browser."""
        rest = request.url.remove_query_params("token")
        answer = RedirectResponse(f"{rest.path}?{rest.query}" if rest.query else rest.path, 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer
