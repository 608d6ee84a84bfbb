/** One file on its way: what is shown of it, and what is known of its upload. No behaviour. */

import type { Part, Upload } from "../model.ts";
import { Pace } from "./pace.ts";
import type { PartSigner } from "./signer.ts";

export type UploadState = "queued" | "preparing" | "sending" | "paused" | "finishing" | "done" | "failed";

export class UploadItem {
  state: UploadState = "queued";
  sentBytes = 0;
  error: string | null = null;
  /** False when trying the same file again cannot help. */
  canRetry = true;
  assetId: string | null = null;
  upload: Upload | null = null;
  /** Uppy's id of the file, once it was handed over. */
  uppyId: string | null = null;
  formUsed = false;
  formTries = 0;
  /** The form is sent again as soon as the browser is online. */
  waitsForConnection = false;
  signer: PartSigner | null = null;
  /** Parts known to be on the server, for Uppy's first look; later looks ask the server. */
  knownParts: Part[] | null = null;
  readonly pace = new Pace();

  constructor(
    readonly id: string,
    readonly file: File,
  ) {}
}
