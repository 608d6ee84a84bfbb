/** Studio's lower part: sessions that look like downloads, and what webhooks were told. Read when opened, never polled. */

import { type Api, errorSentence } from "./api.ts";
import { button, h } from "./dom.ts";
import { moment } from "./format.ts";
import type { Delivery, SessionSummary, Webhook } from "./model.ts";

/** Worth a look, though the API tells of a session only from its own threshold on. */
const WORTH_A_LOOK = 40;

export function oversight(api: Api): HTMLElement[] {
  return [
    section("Suspicious sessions", async () => {
      const found = await api.suspiciousSessions(WORTH_A_LOOK);
      return found.length === 0
        ? [h("p", { class: "empty" }, "No session looks like a download.")]
        : [h("ul", { class: "oversight" }, ...found.map((session) => sessionRow(api, session)))];
    }),
    section("Webhooks", async () => {
      const found = await api.listWebhooks();
      if (found.length === 0) return [nobodyIsTold()];
      return await Promise.all(
        found.map(async (webhook) => webhookBlock(webhook, await api.listDeliveries(webhook.id))),
      );
    }),
  ];
}

function section(title: string, read: () => Promise<HTMLElement[]>): HTMLElement {
  const body = h("div", { "aria-live": "polite" });
  const details = h("details", { class: "oversight" }, h("summary", {}, title), body);
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    read()
      .then((content) => body.replaceChildren(...content))
      .catch((error: unknown) =>
        body.replaceChildren(h("p", { class: "error", role: "alert" }, errorSentence(error))),
      );
  });
  return details;
}

function sessionRow(api: Api, session: SessionSummary): HTMLElement {
  const state = h("span", {}, session.state);
  const row = h(
    "li",
    {},
    h("strong", {}, `${session.viewer}, score ${session.score} of 100`),
    h("p", { class: "meta" }, state, ` · ${moment(session.created_at)}`),
    h("p", {}, session.signals.map((signal) => signal.sentence).join("; ")),
  );
  if (session.state !== "live") return row;
  const end = button(
    "End",
    () => {
      end.disabled = true;
      api
        .endPlaybackSession(session.id)
        .then(() => {
          state.textContent = "ended";
          end.remove();
        })
        .catch((error: unknown) => {
          end.disabled = false;
          state.textContent = errorSentence(error);
        });
    },
    { label: `End the session of ${session.viewer}` },
  );
  row.append(end);
  return row;
}

function nobodyIsTold(): HTMLElement {
  const how = h("code", {}, "penstock webhooks add URL");
  return h(
    "p",
    { class: "empty" },
    "No application is told what happens here. ",
    how,
    " makes one hear of it.",
  );
}

function webhookBlock(webhook: Webhook, deliveries: readonly Delivery[]): HTMLElement {
  const told =
    deliveries.length === 0
      ? h("p", { class: "empty" }, "Nothing has happened yet that it is told of.")
      : h("ul", { class: "oversight" }, ...deliveries.map(deliveryRow));
  return h("section", {}, h("h3", {}, webhook.url + (webhook.enabled ? "" : " (disabled)")), told);
}

function deliveryRow(delivery: Delivery): HTMLElement {
  const tries = `${delivery.attempts} ${delivery.attempts === 1 ? "try" : "tries"}`;
  const meta = `${delivery.state} · ${tries} · ${moment(delivery.created_at)}`;
  return h(
    "li",
    {},
    h("strong", {}, delivery.type),
    h("p", { class: "meta" }, meta),
    delivery.last_error === null ? null : h("p", { class: "bad" }, delivery.last_error),
  );
}
