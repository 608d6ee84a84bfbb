"""An account that runs our Lambda functions as Lambda does: from the unpacked zip, in a clean interpreter, by name.

The event bus of localaws delivers to it, and encoders ask it for keys as they ask an API Gateway with IAM, which turns
a signed request into a proxy event. Each invocation is a process of its own that sees the zip's content and nothing of
this environment's packages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from penstock.deploy.bundle import Runtime
from penstock.errors import BadSignature
from penstock.formats import sigv4

PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
# As Lambda: import the module, call the function with the event. -I -S leave no package but those of the zip, and -B
# keeps no byte code, as where the code cannot be written to.
INVOKE = """
import importlib, json, sys
code, handler, file = sys.argv[1:]
sys.path.insert(0, code)
module, _, function = handler.rpartition(".")
with open(file, encoding="utf-8") as event:
    answer = getattr(importlib.import_module(module), function)(json.load(event), None)
print(json.dumps({"answer": answer, "modules": sorted(sys.modules)}))
"""


def this_machine() -> Runtime:
    """What the zip is to be built for, to run here."""
    glibc = int(platform.libc_ver()[1].split(".")[1])
    return Runtime(f"{sys.version_info.major}.{sys.version_info.minor}", platform.machine(), glibc)


def unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


class Account:
    """Functions of one zip, with their environment; what they answered and printed is kept."""

    def __init__(self, code: Path, work: Path, credentials: dict[str, str]) -> None:
        self.code = code
        self.work = work
        self.environment: dict[str, str] = {}
        self.printed = ""
        self.told: list[dict[str, Any]] = []
        self._secrets = {credentials["access_key_id"]: credentials["secret_access_key"]}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def invoke(self, handler: str, event: Any) -> tuple[Any, list[str]]:
        """What a function answers, and the modules it had loaded then. Raises AssertionError with what it printed."""
        file = self.work / f"event-{uuid.uuid4().hex[:8]}.json"
        file.write_text(json.dumps(event))
        command = [str(PYTHON), "-I", "-S", "-B", "-c", INVOKE, str(self.code), handler, str(file)]
        done = subprocess.run(
            command, env=self.environment, cwd=self.work, capture_output=True, text=True, timeout=120, check=False
        )
        self.printed += done.stdout + done.stderr
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return said["answer"], said["modules"]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        account = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    status, headers, text = account._take(self, body)
                except AssertionError as exc:
                    status, headers, text = 500, {}, str(exc)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        return Door

    def _take(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], str]:
        """An event for /functions/<handler>, or a request for keys."""
        if request.path == "/told":
            self.told.append(json.loads(body))
            return 200, {}, ""
        if request.path.startswith("/functions/"):
            answer, _ = self.invoke(request.path.removeprefix("/functions/"), json.loads(body))
            return 200, {}, json.dumps(answer)
        try:
            sigv4.verify(
                method="POST",
                url=self.url + request.path,
                headers=request.headers,
                body_sha256=hashlib.sha256(body).hexdigest(),
                secrets=self._secrets,
                now=datetime.now(UTC),
                service="execute-api",
            )
        except BadSignature as exc:
            return 403, {}, exc.message
        event = {
            "httpMethod": "POST",
            "path": request.path,
            "headers": dict(request.headers),
            "requestContext": {"identity": {"userArn": "arn:aws:sts::000000000000:assumed-role/MediaConvert/job"}},
            "body": body.decode(),
            "isBase64Encoded": False,
        }
        answer, _ = self.invoke("penstock.handlers.speke", event)
        return answer["statusCode"], answer["headers"], answer["body"]


@contextlib.contextmanager
def localaws_telling(config: Path, log: Path) -> Iterator[None]:
    """localaws as `config` describes it, ready."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "localaws", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        assert process.stdout is not None
        try:
            ready = any(line.startswith("Ready") for line in process.stdout)
            assert ready, log.read_text()
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()
