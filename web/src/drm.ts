/** Where licenses come from: our own ClearKey server, or a DRM vendor's for each system that it has. Pure. */

import type { PlayerConfig } from "./model.ts";

const CLEARKEY = "org.w3.clearkey";

type Granted = Pick<PlayerConfig, "license_url" | "drm">;

/** Shaka's `drm` configuration. A vendor takes ClearKey's place: a film that it protects has no ClearKey license. */
export function drmConfiguration(granted: Granted): {
  servers: Record<string, string>;
  advanced: Record<string, { serverCertificateUri: string }>;
} {
  const systems = Object.entries(granted.drm);
  if (systems.length === 0) {
    return { servers: granted.license_url === null ? {} : { [CLEARKEY]: granted.license_url }, advanced: {} };
  }
  const certificates = systems.flatMap(([system, access]) =>
    access.certificate_url === null
      ? []
      : [[system, { serverCertificateUri: access.certificate_url }] as const],
  );
  return {
    servers: Object.fromEntries(systems.map(([system, access]) => [system, access.license_url])),
    advanced: Object.fromEntries(certificates),
  };
}
