/** What went wrong while playing, in a sentence that says what to do. Pure; knows Shaka Player's error numbers. */

import { ApiError } from "./api.ts";

/** The parts of shaka.util.Error that matter here. Source: shaka-player, lib/util/error.js. */
export interface PlayerError {
  readonly category: number;
  readonly code: number;
  readonly data: readonly unknown[];
}

const CODE = {
  badHttpStatus: 1001,
  httpError: 1002,
  timeout: 1003,
  requestRestricted: 4012,
  contentUnsupported: 4032,
  noKeySystem: 6001,
  cdmFailed: 6002,
  licenseRequestFailed: 6007,
  licenseResponseRejected: 6008,
  encryptedWithoutDrm: 6010,
  insecureContext: 6020,
  serverCertificate: 6004,
} as const;
const NETWORK = 1;
const MEDIA = 3;

const OVER =
  "This watch link is over, or this browser did not keep its cookies. Allow cookies for this site, or ask for a new link.";
const TOO_MANY =
  "You are watching in too many places at once. Stop one of the others, then try again or ask for a new link.";
const OFFLINE = "The film cannot be reached. Check your connection, then try again.";
const UNSUPPORTED =
  "This browser cannot play this protected film. Current versions of Chrome, Edge and Firefox can.";

export function isPlayerError(error: unknown): error is PlayerError {
  return (
    typeof error === "object" && error !== null && "code" in error && "category" in error && "data" in error
  );
}

/** The overlay was removed more often than it was worth putting back. */
export class OverlayRemoved extends Error {}

/** Explain an error of the player or of the claim before it. */
export function playbackSentence(error: unknown): string {
  if (error instanceof ApiError) return claimSentence(error);
  if (error instanceof OverlayRemoved)
    return "The film has stopped, because the viewer's name was taken from it.";
  if (!isPlayerError(error)) return "The film cannot be played. Try again.";
  switch (error.code) {
    case CODE.badHttpStatus:
      return statusSentence(Number(error.data[1]));
    case CODE.licenseRequestFailed:
      return licenseSentence(error.data[0]);
    case CODE.httpError:
    case CODE.timeout:
      return OFFLINE;
    case CODE.insecureContext:
      return "Protected films play only on pages with https. Open this page with https.";
    case CODE.noKeySystem:
    case CODE.cdmFailed:
    case CODE.serverCertificate:
    case CODE.contentUnsupported:
    case CODE.requestRestricted:
      return UNSUPPORTED;
    case CODE.licenseResponseRejected:
    case CODE.encryptedWithoutDrm:
      return `The license for this film does not fit. Tell whoever gave you the link (error ${error.code}).`;
  }
  if (error.category === NETWORK) return OFFLINE;
  if (error.category === MEDIA) return `This film cannot be decoded here (error ${error.code}).`;
  return `The film cannot be played (error ${error.code}). Try again.`;
}

/** True when trying again with the same link can help. */
export function isWorthRetrying(error: unknown): boolean {
  if (error instanceof ApiError) return error.retryable;
  if (!isPlayerError(error)) return true;
  const status = httpStatus(error);
  if (status !== null) return status >= 500 || status === 429;
  return playbackSentence(error) !== UNSUPPORTED;
}

function httpStatus(error: PlayerError): number | null {
  if (error.code === CODE.badHttpStatus) return Number(error.data[1]);
  const inner = error.code === CODE.licenseRequestFailed ? error.data[0] : null;
  return isPlayerError(inner) ? httpStatus(inner) : null;
}

function claimSentence(error: ApiError): string {
  if (error.code === "too_many_streams") return TOO_MANY;
  if (error.code === "session_expired") return "This watch link is over. Ask for a new one.";
  if (error.status === 401 || error.status === 403)
    return "This watch link is over or not complete. Ask for a new one.";
  if (error.status === 404) return "This watch link does not lead to a film. Ask for a new one.";
  return error.message;
}

function statusSentence(status: number): string {
  if (status === 401 || status === 403 || status === 404) return OVER;
  if (status === 429) return "Too many requests for this film. Wait a minute, then try again.";
  return OFFLINE;
}

function licenseSentence(inner: unknown): string {
  if (isPlayerError(inner) && inner.code === CODE.badHttpStatus) {
    const status = Number(inner.data[1]);
    if (status === 401 || status === 403)
      return "This watch link is over; the film's key is no longer given out. Ask for a new link.";
    if (status === 429) return TOO_MANY;
  }
  return "The license server cannot be reached. Try again in a moment.";
}
