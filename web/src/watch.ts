/** The watch page, /watch/<session id>#<license token>: hands both to the player and names what plays. */

import { h, setText } from "./dom.ts";
import { moment } from "./format.ts";
import type { Heartbeat, PlayerConfig } from "./model.ts";
import { PenstockPlayer } from "./player.ts";
import { keepSecret, takeSecret } from "./secret.ts";

const sessionId = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1) ?? "");
const player = new PenstockPlayer();
// For screen readers also when there is no film to name.
const heading = h("h1", { class: "visually-hidden" }, "Watch");
const until = h("p", { class: "until" });

player.setAttribute("session", sessionId);
// Off the address bar, so that a picture or a copy of the page does not give the film away; a reload still works.
player.token = takeSecret(`watch.${sessionId}`, location.hash.slice(1)) ?? "";
player.addEventListener("penstock-ready", (event) => {
  const { title, expires_at } = (event as CustomEvent<PlayerConfig>).detail;
  setText(heading, title);
  heading.className = "";
  setText(until, `You can watch until ${moment(expires_at)}.`);
  document.title = title;
});
player.addEventListener("penstock-renewed", (event) => {
  const { expires_at, license_token } = (event as CustomEvent<Heartbeat>).detail;
  keepSecret(`watch.${sessionId}`, license_token);
  setText(until, `You can watch until ${moment(expires_at)}.`);
});
player.addEventListener("penstock-error", () => setText(until, ""));

document.getElementById("main")?.append(player, heading, until);
if (player.token === "") void player.load(); // tells that the link is not complete
