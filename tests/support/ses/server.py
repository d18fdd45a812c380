"""The HTTP server: it takes REST-JSON requests to an account, and knows when it was wrong itself."""

import json
import re
import socket
import sys
import traceback
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Lock, Thread
from typing import Any, Self
from uuid import uuid4

from tests.support.ses.faults import Broken, Faults
from tests.support.ses.model import (
    MisfitError,
    Operation,
    SesError,
    operation,
    read_body,
    statuses,
)
from tests.support.ses.operations import OPERATIONS
from tests.support.ses.state import Account, Call

_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([a-z0-9-]+)/ses/aws4_request,")
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_POLL = 0.02


class SesServer(Account, Faults):
    """Amazon SES v2 on a port of loopback, while its context lasts.

    The region is that of the credentials' scope; signatures are not looked at.
    Leaving the context fails if a response was not one of the service, or a
    request asked for what this server does not know.
    """

    def __init__(self) -> None:
        """Take a port; nobody answers there yet."""
        Account.__init__(self)
        Faults.__init__(self)
        self._operations = [operation(name) for name in OPERATIONS]
        self.problems: list[str] = []
        """What this server got wrong. A test that wants this clears it."""
        self.validated: Counter[str] = Counter()
        """Responses that were looked at, by operation."""
        self._http = _Http(self)
        self._thread = Thread(target=self._http.serve_forever, args=(_POLL,), name="ses")
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nobody waiting, and tell what was wrong."""
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._release()
        self._http.server_close()
        assert self.problems == [], "\n".join(self.problems)

    def answer(self, method: str, target: str, authorization: str, body: bytes) -> "_Answer":
        """Do what a request asks for."""
        scope = _SCOPE.match(authorization)
        if scope is None:
            return _error(SesError("MissingAuthenticationTokenException", "No scope of credentials."))
        region = scope[1]
        try:
            return self._do(region, method, target, body)
        except SesError as error:
            with self._lock:
                self._errors[region][error.code] += 1
            return _error(error)
        except Exception:  # noqa: BLE001 - whatever it is, the test is to fail with it
            self.problems.append(f"{method} {target}\n{traceback.format_exc()}")
            return _error(
                SesError("InternalServerError", "The server of the test is wrong, see its problems.")
            )

    def _do(self, region: str, method: str, target: str, body: bytes) -> "_Answer":
        asked, request = self._route(method, target)
        misfit: MisfitError | None = None
        try:
            request |= read_body(body)
            asked.check_input(request)
        except MisfitError as error:
            misfit = error
        with self._lock:
            self._calls[region].append(Call(asked.name, str(request.get("EmailIdentity", ""))))
        if self._is_down(region, asked.name):
            return _Answer(0, b"", Broken.LOST)
        self._wait(region, asked.name, after_effect=False)
        self._refuse(region, asked.name)
        if request.get("Tags") and asked.name != "TagResource":
            self._require("TagResource")
        if misfit is not None:
            raise SesError("BadRequestException", str(misfit))
        with self._lock:
            response = OPERATIONS[asked.name](self._region(region), request)
        asked.check_output(response)
        with self._lock:
            self.validated[asked.name] += 1
        self._wait(region, asked.name, after_effect=True)
        return _Answer(200, json.dumps(response).encode(), self._broken(region, asked.name))

    def _route(self, method: str, target: str) -> tuple[Operation, dict[str, Any]]:
        """Return the operation that a request line asks for, and the members it carries."""
        for each in self._operations:
            named = each.named(method, target)
            if named is not None:
                return each, named
        raise NotImplementedError("this server has no such operation")


class _Answer:
    """What goes over the wire, and how badly."""

    def __init__(
        self, status: int, body: bytes, broken: Broken | None = None, error: str | None = None
    ) -> None:
        self.broken, self.error = broken, error
        self.status, self.type, self.body = status, "application/json", body
        if broken is Broken.TRUNCATED:
            self.body = body[: len(body) // 2]
        elif broken is Broken.HTML:
            self.status, self.type, self.body = 502, "text/html", _HTML


def _error(error: SesError) -> _Answer:
    body = json.dumps({"message": str(error)}).encode()
    return _Answer(statuses()[error.code], body, error=error.code)


class _Http(ThreadingMixIn, TCPServer):
    """Holds its connections, so that none outlives it."""

    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, ses: SesServer) -> None:
        self.ses = ses
        self._open: set[socket.socket] = set()
        self._open_lock = Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        """Tell nothing of those who went away while they were served, killed perhaps."""
        if not isinstance(sys.exception(), ConnectionError):
            self.ses.problems.append(traceback.format_exc())

    def hang_up(self) -> None:
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Tell nothing of requests."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the request broke off")
        authorization = self.headers.get("Authorization", "")
        answer = self.server.ses.answer(self.command, self.path, authorization, body)
        self.close_connection = self.close_connection or answer.broken in {Broken.LOST, Broken.CUT}
        if answer.broken is Broken.LOST:
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("x-amzn-RequestId", str(uuid4()))
        if answer.error is not None:
            self.send_header("x-amzn-ErrorType", answer.error)
        self.end_headers()
        self.wfile.write(answer.body[: len(answer.body) // 2] if answer.broken is Broken.CUT else answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that the base class looks for
