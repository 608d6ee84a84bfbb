"""A real SPEKE v2 key provider on loopback, which can be told to misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from penstock.formats import sigv4
from penstock.keys import KeyProvider as ContentKeys
from penstock.keys import answer_speke

ACCESS_KEY_ID = "AKIDTEST"
SECRET = "a-secret-of-the-tests"


@dataclass
class Speke:
    """A SPEKE v2 key provider; `answer` may be replaced to misbehave. Requests are kept."""

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[bytes], tuple[int, bytes]] = lambda body: (200, answer_speke(body, CONTENT_KEYS))

    def verified_by(self, number: int) -> str:
        """The access key id that signed a request. Raises BadSignature."""
        headers, body = self.requests[number]
        return sigv4.verify(
            method="POST",
            url=self.url,
            headers=headers,
            body_sha256=hashlib.sha256(body).hexdigest(),
            secrets={ACCESS_KEY_ID: SECRET},
            now=datetime.now(UTC),
            service="execute-api",
        )


CONTENT_KEYS = ContentKeys(b"m" * 32)


@contextlib.contextmanager
def serve() -> Iterator[Speke]:
    provider = Speke()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            provider.requests.append((dict(self.headers.items()), body))
            status, answer = provider.answer(body)
            self.send_response(status)
            self.send_header("X-Speke-Version", "2.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}/speke/v2/copyProtection"
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
