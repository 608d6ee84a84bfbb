/** Addresses with a token in their path, https://host/t/<token>/...: which one to play, and how they are renewed. Pure. */

import type { PlayerConfig } from "./model.ts";

const TOKEN = /^(https?:\/\/[^/]+\/t\/)([A-Za-z0-9_-]+)(\/.*)$/;

/** The manifest for a page of `origin`: cookies where the page and the films are of one site, else a path token. */
export function manifestFor(
  config: Pick<PlayerConfig, "dash_url" | "dash_token_url">,
  origin: string,
): string | null {
  const sameOrigin = config.dash_url !== null && new URL(config.dash_url, origin).origin === origin;
  return sameOrigin ? config.dash_url : (config.dash_token_url ?? config.dash_url);
}

/** The same address with the token of `latest`; what has no token, or is of another server, stays as it is. */
export function renewed(address: string, latest: string | null): string {
  const old = TOKEN.exec(address);
  const fresh = latest === null ? null : TOKEN.exec(latest);
  if (old === null || fresh === null || old[1] !== fresh[1]) return address;
  return `${fresh[1]}${fresh[2]}${old[3]}`;
}
