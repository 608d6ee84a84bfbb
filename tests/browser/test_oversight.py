"""Studio shows sessions that look like downloads, and what webhooks were told."""

from __future__ import annotations

from typing import Any

import httpx
from playwright.sync_api import Page, expect

from running_stack import RunningStack


def test_suspicious_session_is_seen_and_ended_and_webhooks_are_listed(
    stack: RunningStack, studio: Page, session: dict[str, Any]
) -> None:
    heartbeat = f"{stack.env['PENSTOCK_URL']}/v1/playback-sessions/{session['id']}/heartbeat"
    headers = {"Authorization": f"Bearer {session['license_token']}"}
    assert httpx.post(heartbeat, headers=headers, json={"tampered": 3}).status_code == 200
    with stack.client as client:
        webhook = client.add_webhook("https://8.8.8.8/hook", ["asset.deleted"])
        client.change_webhook(webhook["id"], enabled=False)  # to be seen, not to be sent to
    studio.get_by_text("Suspicious sessions").click()
    expect(studio.get_by_text("browser test, score 50")).to_be_visible()
    expect(studio.get_by_text("tampered with 3 times")).to_be_visible()
    studio.get_by_role("button", name="End the session of browser test").click()
    expect(studio.get_by_role("button", name="End the session of browser test")).to_have_count(0)
    with stack.client as client:
        assert client.playback_session(session["id"])["state"] == "ended"
    studio.get_by_text("Webhooks", exact=True).click()
    expect(studio.get_by_text("https://8.8.8.8/hook (disabled)")).to_be_visible()
    with stack.client as client:
        client.remove_webhook(webhook["id"])
