"""Webhooks of a running stack: an application hears everything in order, also when everything was killed meanwhile."""

from __future__ import annotations

from pathlib import Path

from api_parts import until
from penstock.client import verify_webhook
from running_stack import RunningStack
from webhook_receiver import receiving


def test_webhooks_outlive_a_kill_of_all_processes(tmp_path: Path) -> None:
    stack = RunningStack(tmp_path / "data", PENSTOCK_WEBHOOK_PRIVATE_TARGETS="true").start()
    with receiving() as application:
        try:
            made = stack.client.add_webhook(application.url)
            application.answers[:] = [503] * 3
            assets = [stack.client.announce(f"{name}.mp4", 10, None, None)["asset"]["id"] for name in "abc"]
            until(lambda: len(application.got) == 3, 30)
            stack.kill_everything()
            stack.start()
            for asset_id in assets:
                stack.client.delete_asset(asset_id)
            # What was answered with 503 is tried again after five seconds, and holds up what came after it.
            until(lambda: len(application.got) == 9, 60)
            for asset_id in assets:
                assert application.types(asset_id) == ["asset.created", "asset.created", "asset.deleted"]
            for each in application.got[3:]:
                verify_webhook(made["secret"], each.headers, each.body)
            logs = "".join(path.read_text() for path in (stack.data_dir / "logs").iterdir())
            assert made["secret"].removeprefix("whsec_") not in logs
        finally:
            stack.stop()
