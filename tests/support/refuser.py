"""Services of AWS that refuse every request, on loopback."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

_XML = "<ErrorResponse><Error><Code>{}</Code><Message>No.</Message></Error></ErrorResponse>"


@contextmanager
def refuser(codes: Mapping[str, str], *, status: int = 400) -> Iterator[str]:
    """Give the address of what refuses actions with these codes, and others with InvalidAction.

    It speaks the JSON protocol of SQS and the query protocol of STS.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Refuse."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            target = self.headers.get("X-Amz-Target", "")
            action = target.rpartition(".")[2] or parse_qs(body)["Action"][0]
            code = codes.get(action, "InvalidAction")
            text = json.dumps({"__type": code}) if target else _XML.format(code)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Tell nothing of requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
