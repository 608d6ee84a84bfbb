"""`penstock webhooks`: who is told what happens, and what became of it. Only through the API."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from penstock.showing import local_time, printable
from penstock.terminal import DATA_DIR, AsJson, DataDir, client

app = typer.Typer(no_args_is_help=True, help="Webhooks: addresses that are told what happens.")

EndpointId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="An id; `penstock webhooks list` lists them.")]


@app.command("list")
def list_webhooks(data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """List webhook endpoints."""
    with client(data_dir) as server:
        found = server.webhooks()
    if as_json:
        print(json.dumps(found))
        return
    for each in found:
        told = ",".join(each["events"]) or "everything"
        print(f"{each['id']}  {'enabled ' if each['enabled'] else 'disabled'}  {printable(each['url'])}  {told}")
    if not found:
        print("There are no webhooks yet; `penstock webhooks add URL` registers one.")


@app.command("add", short_help="Register an address; prints its id and its secret.")
def add_webhook(
    url: Annotated[str, typer.Argument(metavar="URL", help="https address.")],
    event: Annotated[
        list[str] | None, typer.Option(help="Kind of event; again for more.", show_default="all of them")
    ] = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Register an address and print its id and the secret that its receiver verifies with.

    \b
      penstock webhooks add https://example.com/penstock
      penstock webhooks add https://example.com/penstock --event asset.published --event asset.failed
    """
    with client(data_dir) as server:
        made = server.add_webhook(url, event or (), description)
    print(json.dumps(made) if as_json else f"{made['id']}\n{made['secret']}")


@app.command("enable", short_help="Send again, beginning with what was missed.")
def enable_webhook(endpoint_id: EndpointId, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Send again to an endpoint that was disabled, beginning with what it has missed."""
    with client(data_dir) as server:
        changed = server.change_webhook(endpoint_id, enabled=True)
    print(json.dumps(changed) if as_json else f"{endpoint_id} is enabled")


@app.command("disable", short_help="Send nothing for now; what is owed waits.")
def disable_webhook(endpoint_id: EndpointId, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Send nothing for now; what is pending waits, and what happens meanwhile is not told."""
    with client(data_dir) as server:
        changed = server.change_webhook(endpoint_id, enabled=False)
    print(json.dumps(changed) if as_json else f"{endpoint_id} is disabled")


@app.command("remove", short_help="Remove an endpoint and what is owed to it.")
def remove_webhook(endpoint_id: EndpointId, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Remove an endpoint with everything that is owed to it."""
    with client(data_dir) as server:
        server.remove_webhook(endpoint_id)
    print(json.dumps({"id": endpoint_id, "state": "removed"}) if as_json else f"{endpoint_id} is removed")


@app.command("test", short_help="Send a test event.")
def test_webhook(endpoint_id: EndpointId, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Send a test event; `penstock webhooks deliveries` tells how it went."""
    with client(data_dir) as server:
        event_id = server.test_webhook(endpoint_id)
    print(json.dumps({"event_id": event_id}) if as_json else f"{event_id} is on its way")


@app.command("rotate-secret", short_help="Make a new secret; both sign for 24 hours.")
def rotate_secret(endpoint_id: EndpointId, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Make a new secret and print it; for 24 hours webhooks carry the signatures of both."""
    with client(data_dir) as server:
        secret = server.rotate_webhook_secret(endpoint_id)
    print(json.dumps({"secret": secret}) if as_json else secret)


@app.command("deliveries", short_help="List what was sent lately and what is owed.")
def list_deliveries(endpoint_id: EndpointId, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """List what was sent to an endpoint in the last 30 days, newest first, and what is still owed."""
    with client(data_dir) as server:
        found = list(server.webhook_deliveries(endpoint_id))
    if as_json:
        print(json.dumps(found))
        return
    for each in found:
        what = f"{each['id']:>6}  {local_time(each['created_at'])}  {each['state']:<9}  {each['type']:<18}"
        tries = "1 try  " if each["attempts"] == 1 else f"{each['attempts']} tries"
        print(f"{what}  {tries}  {each['last_error'] or ''}".rstrip())
    if not found:
        print("Nothing was sent yet; `penstock webhooks test WEBHOOK` sends a test event.")


@app.command("retry", short_help="Send a delivery once more.")
def retry_delivery(
    endpoint_id: EndpointId,
    delivery_id: Annotated[int, typer.Argument(metavar="DELIVERY", help="Number of a delivery.")],
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Send a delivery that has ended once more."""
    with client(data_dir) as server:
        server.retry_delivery(endpoint_id, delivery_id)
    print(json.dumps({"id": delivery_id, "state": "pending"}) if as_json else f"{delivery_id} is sent again")
