"""Webhooks from the change of an asset to an application on a socket, and the API around them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api_parts import API_KEY, Api, until
from penstock import client as clients
from penstock import settings as settings_module
from penstock.catalogue import utc_now
from penstock.cli import app
from penstock.errors import BadSignature, InvalidRequest, NotFound
from penstock.settings import Settings
from penstock.webhooks import delivery
from penstock.webhooks.delivery import Deliverer
from webhook_receiver import Receiver, receiving


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, webhook_private_targets=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@contextlib.contextmanager
def delivering(deliverer: Deliverer) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=deliverer.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def delivered(api: Api) -> Iterator[None]:
    with delivering(api.context.deliverer):
        yield


def log_of(api: Api, endpoint_id: str) -> list[dict[str, Any]]:
    return list(api.client.webhook_deliveries(endpoint_id))


@pytest.mark.usefixtures("delivered")
def test_application_hears_of_an_asset_and_can_trust_it(api: Api, receiver: Receiver) -> None:
    made = api.client.add_webhook(f"{receiver.url}/hook?tenant=1", description="mine")
    asset_id = api.asset("film.mp4", title="A film")["asset"]["id"]
    api.client.delete_asset(asset_id)
    until(lambda: len(receiver.got) == 2)
    assert receiver.types(asset_id) == ["asset.created", "asset.deleted"]
    first = receiver.got[0]
    event = clients.verify_webhook(made["secret"], first.headers, first.body)
    assert event["data"]["asset"]["title"] == "A film"
    assert first.headers["content-type"] == "application/json"
    with pytest.raises(BadSignature):
        clients.verify_webhook(made["secret"], first.headers, first.body + b" ")
    until(lambda: {each["state"] for each in log_of(api, made["id"])} == {"delivered"})
    logged = log_of(api, made["id"])
    assert [(each["type"], each["attempts"], each["last_status"]) for each in logged] == [
        ("asset.deleted", 1, 204),
        ("asset.created", 1, 204),
    ]
    assert logged[1]["event_id"] == first.headers["webhook-id"]
    assert logged[1]["body"] == first.event


@pytest.mark.usefixtures("delivered")
@pytest.mark.parametrize("status", [302, 307, 400, 500, 503])
def test_anything_but_2xx_is_tried_again_and_redirects_are_not_followed(
    api: Api, receiver: Receiver, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.webhooks.outbox.RETRY_AFTER_S", (0, 0, 60))
    receiver.answers[:] = [status, status]
    made = api.client.add_webhook(receiver.url)
    event_id = api.client.test_webhook(made["id"])
    until(lambda: len(receiver.got) == 3)
    assert {each.headers["webhook-id"] for each in receiver.got} == {event_id}
    until(lambda: log_of(api, made["id"])[0]["state"] == "delivered")
    assert log_of(api, made["id"])[0]["attempts"] == 3


@pytest.mark.usefixtures("delivered")
def test_gone_ends_the_endpoint(api: Api, receiver: Receiver) -> None:
    receiver.answers[:] = [410]
    made = api.client.add_webhook(receiver.url)
    api.client.test_webhook(made["id"])
    until(lambda: not api.client.webhooks()[0]["enabled"])
    assert log_of(api, made["id"])[0]["state"] == "failed"
    api.client.change_webhook(made["id"], enabled=True)
    api.client.retry_delivery(made["id"], log_of(api, made["id"])[0]["id"])
    until(lambda: len(receiver.got) == 2)


def test_receiver_that_does_not_answer_holds_up_nobody_else(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_S", 1.5)
    receiver.hold.clear()
    slow = api.client.add_webhook(receiver.url)
    with receiving() as quick, delivering(api.context.deliverer):
        api.client.add_webhook(quick.url)
        for _ in range(6):
            api.asset()
        until(lambda: len(quick.got) == 6)
        until(lambda: any("no answer" in (each["last_error"] or "") for each in log_of(api, slow["id"])))


def test_nobody_there_is_told_in_the_log_and_tried_again(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiving() as gone:
        url = gone.url
    made = api.client.add_webhook(f"{url}/?secret=in-the-query")
    with delivering(api.context.deliverer):
        api.client.test_webhook(made["id"])
        until(lambda: log_of(api, made["id"])[0]["last_error"] is not None)
    entry = log_of(api, made["id"])[0]
    assert (entry["state"], entry["last_error"]) == ("pending", "no connection (ConnectError)")
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("penstock"))
    assert entry["event_id"] in ours
    assert made["secret"] not in caplog.text
    assert "in-the-query" not in ours


def test_name_that_begins_to_lead_home_gets_nothing(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is looked at again for each try, not only when it is registered."""
    made = api.client.add_webhook(receiver.url)
    strict = Deliverer(api.context.endpoints, api.context.outbox, private=False, now=time.time)
    monkeypatch.setattr(
        "penstock.webhooks.targets.read", lambda url, private, read=delivery.targets.read: read(url, private=True)
    )
    with delivering(strict):
        api.client.test_webhook(made["id"])
        until(lambda: log_of(api, made["id"])[0]["last_error"] is not None)
    assert "not a public address" in log_of(api, made["id"])[0]["last_error"]
    assert receiver.got == []


def test_certificate_has_to_be_of_the_name(api: Api, tmp_path: Path) -> None:
    """TLS to the address that was checked is verified against the name that was asked for."""
    certificate, key = _certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(certificate))
    with receiving(context) as receiver:
        port = receiver.url.rpartition(":")[2]
        good = api.client.add_webhook(f"https://localhost:{port}/")
        bad = api.client.add_webhook(f"https://127.0.0.1:{port}/")
        trusting = Deliverer(api.context.endpoints, api.context.outbox, private=True, now=time.time, trust=trust)
        with delivering(trusting):
            api.client.test_webhook(good["id"])
            api.client.test_webhook(bad["id"])
            until(lambda: log_of(api, good["id"])[0]["state"] == "delivered")
            until(lambda: log_of(api, bad["id"])[0]["last_error"] is not None)
        assert len(receiver.got) == 1
        assert receiver.got[0].headers["host"] == f"localhost:{port}"


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def test_sending_goes_on_after_an_error_that_nobody_thought_of(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delivery, "RESTART_S", 0.05)
    whole, failures = api.context.outbox.take, [RuntimeError("a bug"), RuntimeError("another one")]

    def take(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return whole(*arguments)

    monkeypatch.setattr(api.context.outbox, "take", take)
    made = api.client.add_webhook(receiver.url)
    with delivering(api.context.deliverer):
        api.client.test_webhook(made["id"])
        until(lambda: len(receiver.got) == 1)
    assert "it begins anew" in caplog.text


SENDER = """
import sys, threading, time
from penstock.database import Database
from penstock.webhooks.delivery import Deliverer
from penstock.webhooks.endpoints import Endpoints
from penstock.webhooks.outbox import Outbox
from penstock.catalogue import utc_now
from penstock.cli import app

database = Database(sys.argv[1])
endpoints = Endpoints(database, b"m" * 32, clock=utc_now)
Deliverer(endpoints, Outbox(database), private=True, now=time.time).run(threading.Event())
"""


def test_events_outlive_a_sender_that_is_killed(api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.hold.clear()
    made = api.client.add_webhook(receiver.url)
    asset_id = api.asset()["asset"]["id"]
    api.client.delete_asset(asset_id)
    address = api.context.settings.database_address
    with subprocess.Popen([sys.executable, "-c", SENDER, address], env={**os.environ}) as sender:
        until(lambda: len(receiver.got) == 1, 30)  # it is in the middle of the first one
        sender.send_signal(signal.SIGKILL)
    receiver.hold.set()
    monkeypatch.setattr(api.context.outbox, "_clock", lambda: utc_now() + timedelta(seconds=40))
    with delivering(api.context.deliverer):
        until(lambda: len(receiver.got) == 3)
    assert receiver.types(asset_id) == ["asset.created", "asset.created", "asset.deleted"]
    assert receiver.got[0].headers["webhook-id"] == receiver.got[1].headers["webhook-id"]
    assert {each["state"] for each in log_of(api, made["id"])} == {"delivered"}


class TestApi:
    def test_endpoints_are_made_listed_changed_and_removed(self, api: Api) -> None:
        made = api.client.add_webhook("https://8.8.8.8/hook", ["asset.published"])
        secret = made.pop("secret")
        assert secret.startswith("whsec_")
        assert api.client.webhooks() == [made]
        assert api.http.get(f"/v1/webhooks/{made['id']}").json() == made
        assert api.http.get(f"/v1/webhooks/{made['id']}/secret").json() == {"secret": secret}
        changed = api.client.change_webhook(made["id"], events=[], description="all")
        assert changed == {**made, "events": [], "description": "all"}
        assert api.client.rotate_webhook_secret(made["id"]) != secret
        api.client.remove_webhook(made["id"])
        assert api.client.webhooks() == []
        with pytest.raises(NotFound):
            api.client.remove_webhook(made["id"])

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"url": 1},
            {"url": ""},
            {"url": "https://8.8.8.8/", "events": ["asset.eaten"]},
            {"url": "https://8.8.8.8/", "events": ["webhook.test"]},
            {"url": "https://8.8.8.8/", "events": "asset.created"},
            {"url": "https://8.8.8.8/", "description": "a\0b"},
            {"url": "https://8.8.8.8/", "secret": "mine"},
            {"url": "ftp://8.8.8.8/"},
            {"url": "https://user:word@8.8.8.8/"},
            [],
        ],
    )
    def test_what_is_no_endpoint_is_4xx(self, api: Api, body: Any) -> None:
        answer = api.http.post("/v1/webhooks", json=body)
        assert answer.status_code in (400, 422)
        assert answer.json()["error"]["message"]
        assert api.client.webhooks() == []

    @pytest.mark.parametrize("endpoint_id", ["x", "0b9e6a3c-7d0f-4f0e-9c39-6f2f3d1b8a55", "%00", "A" * 300])
    def test_unknown_endpoint_is_404(self, api: Api, endpoint_id: str) -> None:
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/deliveries"),
            ("POST", "/test"),
            ("GET", "/secret"),
        ):
            assert api.http.request(method, f"/v1/webhooks/{endpoint_id}{path}").status_code == 404
        assert api.http.patch(f"/v1/webhooks/{endpoint_id}", json={}).status_code == 404
        assert api.http.post(f"/v1/webhooks/{endpoint_id}/deliveries/1/retry").status_code == 404

    def test_only_applications_may(self, api: Api) -> None:
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer x"}):
            assert api.http.get("/v1/webhooks", headers=headers).status_code == 401
            assert api.http.post("/v1/webhooks", headers=headers, json={"url": "x"}).status_code == 401

    def test_deliveries_come_in_pages(self, api: Api) -> None:
        made = api.client.add_webhook("https://8.8.8.8/hook")
        sent = [api.client.test_webhook(made["id"]) for _ in range(5)]
        page = api.http.get(f"/v1/webhooks/{made['id']}/deliveries?limit=2").json()
        assert [each["event_id"] for each in page["deliveries"]] == sent[:2:-1]
        following = api.http.get(f"/v1/webhooks/{made['id']}/deliveries?limit=2&before={page['next']}").json()
        assert [each["event_id"] for each in following["deliveries"]] == sent[2:0:-1]
        assert api.http.get(f"/v1/webhooks/{made['id']}/deliveries?before={10**30}").status_code == 422


class TestStrict:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, webhook_private_targets=False)

    @pytest.mark.parametrize(
        "url", ["http://8.8.8.8/", "https://127.0.0.1/", "https://localhost:8080/", "https://[::1]/"]
    )
    def test_private_addresses_are_refused_when_registered_and_when_changed(self, api: Api, url: str) -> None:
        with pytest.raises(InvalidRequest):
            api.client.add_webhook(url)
        made = api.client.add_webhook("https://8.8.8.8/")
        with pytest.raises(InvalidRequest):
            api.client.change_webhook(made["id"], url=url)


def test_setting_allows_private_targets() -> None:
    assert not settings_module.load({}).webhook_private_targets
    assert settings_module.load({"PENSTOCK_WEBHOOK_PRIVATE_TARGETS": "true"}).webhook_private_targets


def test_commands_show_what_the_api_has(api: Api) -> None:
    env = {"PENSTOCK_URL": api.url, "PENSTOCK_API_KEY": API_KEY}

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["webhooks", *arguments, "--json"], env=env, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    made = run("add", "https://8.8.8.8/hook", "--event", "asset.published", "--event", "asset.failed")
    assert run("list")[0]["events"] == ["asset.published", "asset.failed"]
    assert run("rotate-secret", made["id"])["secret"] != made["secret"]
    event_id = run("test", made["id"])["event_id"]
    assert run("deliveries", made["id"])[0]["event_id"] == event_id
    assert run("disable", made["id"])["enabled"] is False
    assert run("enable", made["id"])["enabled"] is True
    assert run("remove", made["id"]) == {"id": made["id"], "state": "removed"}
    assert run("list") == []
