"""The programs in docs/integrate.md that verify webhooks, run as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from api_parts import free_port, until
from conftest import REPOSITORY
from penstock.formats import webhooks

SECRET = webhooks.write_secret(b"w" * 32)
BODY = '{"type":"asset.published","title":"影 & film"}'.encode()


def program(language: str, marker: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", (REPOSITORY / "docs" / "integrate.md").read_text(), re.DOTALL)
    return next(text for text in found if marker in text)


def interpreter(name: str) -> str:
    if shutil.which(name) is None:
        missing = f"{name} is not installed; `make setup` installs it"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return name


def deliveries() -> dict[str, tuple[dict[str, str], bytes, bool]]:
    """What a receiver may be sent, and whether it is ours."""
    now = int(time.time())
    good = webhooks.sign([SECRET], "evt_1", now, BODY)
    other = webhooks.write_secret(b"o" * 32)
    return {
        "ours": (good, BODY, True),
        "while the secret is rotated": (webhooks.sign([other, SECRET], "evt_1", now, BODY), BODY, True),
        "another secret": (webhooks.sign([other], "evt_1", now, BODY), BODY, False),
        "changed body": (good, BODY + b" ", False),
        "another id": ({**good, "webhook-id": "evt_2"}, BODY, False),
        "old": (webhooks.sign([SECRET], "evt_1", now - 600, BODY), BODY, False),
    }


def test_node_verifies(tmp_path: Path) -> None:
    (tmp_path / "verify.mjs").write_text(program("js", "export function verify"))
    driver = """
import { verify } from "./verify.mjs";
let input = "";
for await (const chunk of process.stdin) input += chunk;
for (const [headers, body] of JSON.parse(input)) {
  console.log(verify(process.env.SECRET, headers, Buffer.from(body, "hex")));
}
"""
    (tmp_path / "driver.mjs").write_text(driver)
    sent = httpx.Request("POST", "http://x", json=[[h, b.hex()] for h, b, _ in deliveries().values()]).content
    env = {**os.environ, "SECRET": SECRET}
    command = [interpreter("node"), str(tmp_path / "driver.mjs")]
    done = subprocess.run(command, input=sent, capture_output=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split() == [str(wanted).lower() for _, _, wanted in deliveries().values()]


def test_php_verifies(tmp_path: Path) -> None:
    (tmp_path / "hook.php").write_text(program("php", "HTTP_WEBHOOK_ID"))
    port = free_port()
    command = [interpreter("php"), "-S", f"127.0.0.1:{port}", "-t", str(tmp_path)]
    env = {**os.environ, "WEBHOOK_SECRET": SECRET}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: _answers(port))
            for how, (headers, body, wanted) in deliveries().items():
                answer = httpx.post(f"http://127.0.0.1:{port}/hook.php", content=body, headers=headers)
                assert answer.status_code == (204 if wanted else 400), how
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/").status_code > 0
    except httpx.TransportError:
        return False
