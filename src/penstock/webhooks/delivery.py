"""Sends what the outbox owes: one POST per event and try, signed, never redirected, never longer than a few seconds.

The receiver's answer is a status; its body is not read. No secret and no body of an event is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Collection

import httpx

from penstock.errors import InvalidRequest, NotFound, PenstockError
from penstock.formats import webhooks
from penstock.webhooks import targets
from penstock.webhooks.endpoints import Endpoint, Endpoints
from penstock.webhooks.outbox import Delivery, Outbox

TIMEOUT_S = 15.0
"""For name, connection, request and status together; less than the outbox's lease."""
LOOK_EVERY_S = 0.5
RESTART_S = 5.0
AT_A_TIME = 32
GONE = 410

log = logging.getLogger("penstock.webhooks")


class Deliverer:
    """Sends until it is stopped; `run` is the work of one thread."""

    def __init__(
        self,
        endpoints: Endpoints,
        outbox: Outbox,
        *,
        private: bool,
        now: Callable[[], float],
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """private: whether private addresses are allowed. trust: certificates to trust in place of the usual ones."""
        self._endpoints = endpoints
        self._outbox = outbox
        self._private = private
        self._now = now
        self._trust = trust or ssl.create_default_context()

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                asyncio.run(self._run(stop))
            except Exception:
                log.exception("sending webhooks failed; it begins anew")
                stop.wait(RESTART_S)

    async def _run(self, stop: threading.Event) -> None:
        sending: dict[asyncio.Task[None], str] = {}
        # Environment and netrc have no say in where a webhook goes; and a connection that is kept would be used for
        # another name at the same address, whose certificate was never looked at.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(verify=self._trust, trust_env=False, limits=limits) as client:
            while not stop.is_set():
                for delivery in await self._take(AT_A_TIME - len(sending), list(sending.values())):
                    sending[asyncio.create_task(self._deliver(client, delivery))] = delivery.endpoint_id
                await _some_done_or(LOOK_EVERY_S, sending)
                sending = {task: endpoint for task, endpoint in sending.items() if not task.done()}
            for task in sending:
                task.cancel()  # what was being sent is sent again after its lease

    async def _take(self, room: int, busy: list[str]) -> list[Delivery]:
        try:
            return await asyncio.to_thread(self._outbox.take, room, busy) if room else []
        except PenstockError as exc:
            log.warning("webhooks wait: %s", exc.message)
            return []

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        try:
            endpoint = await asyncio.to_thread(self._endpoints.get, delivery.endpoint_id)
            status, error = await self._send(client, endpoint, delivery)
            await asyncio.to_thread(self._note, delivery, status, error)
        except NotFound:
            return  # removed meanwhile, with everything owed to it
        except PenstockError as exc:
            log.warning("a webhook will be sent again: %s", exc.message)
        except Exception:
            log.exception("a webhook could not be sent; it is tried again")

    async def _send(
        self, client: httpx.AsyncClient, endpoint: Endpoint, delivery: Delivery
    ) -> tuple[int | None, str | None]:
        """The receiver's status, and what was wrong if something was."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._post(client, endpoint, delivery)
        except TimeoutError:
            return None, f"no answer within {TIMEOUT_S:.0f} s"
        except InvalidRequest as exc:
            return None, exc.message
        except (httpx.HTTPError, OSError) as exc:
            return None, f"no connection ({type(exc).__name__})"
        if 200 <= status < 300:
            return status, None
        if 300 <= status < 400:
            return status, f"the answer was {status}; redirects are not followed"
        return status, f"the answer was {status}"

    async def _post(self, client: httpx.AsyncClient, endpoint: Endpoint, delivery: Delivery) -> int:
        target = targets.read(endpoint.url, private=self._private)
        address = await targets.resolve(target, private=self._private)
        body = delivery.body.encode()
        secrets = self._endpoints.signing_secrets(endpoint)
        headers = {
            "Host": target.authority,
            "Content-Type": "application/json",
            "User-Agent": "Penstock-Webhooks",
            **webhooks.sign(secrets, delivery.event_id, int(self._now()), body),
        }
        request = client.build_request(
            "POST",
            target.at(address),
            headers=headers,
            content=body,
            timeout=TIMEOUT_S,
            # The certificate has to be the name's, although the connection goes to the address that was checked.
            extensions={"sni_hostname": target.host},
        )
        response = await client.send(request, stream=True)
        await response.aclose()
        return response.status_code

    def _note(self, delivery: Delivery, status: int | None, error: str | None) -> None:
        if error is None:
            assert status is not None
            self._outbox.delivered(delivery, status)
            return
        log.info("webhook %s to endpoint %s: %s", delivery.event_id, delivery.endpoint_id, error)
        self._outbox.failed(delivery, error, status, final=status == GONE)
        if status == GONE:
            self._endpoints.change(delivery.endpoint_id, enabled=False)


async def _some_done_or(timeout_s: float, tasks: Collection[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(timeout_s)
