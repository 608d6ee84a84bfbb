/** The HTTP API in TypeScript: one method per route, one error type. Knows nothing of pages. */

import type {
  Asset,
  AssetPage,
  Delivery,
  Heartbeat,
  MultipartUpload,
  NewAsset,
  Part,
  PlaybackSession,
  PlayerConfig,
  SessionSummary,
  Upload,
  Webhook,
} from "./model.ts";

/** A refusal of the API, or no answer at all (status 0). `message` is a sentence for people. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly requestId: string | null = null,
    /** The server's clock when it refused, in milliseconds since the epoch. */
    readonly serverMs: number | null = null,
  ) {
    super(message);
  }

  /** True when the same request may succeed later. */
  get retryable(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Gives the value of the Authorization header for each request; an application may answer with its own scheme. */
export type Authorization = () => string | Promise<string>;

/** Gives the DPoP header of a request to an address with a bearer token, or null for none. */
export type Proof = (method: string, address: string, token: string) => Promise<string | null>;

/** What <penstock-uploader> needs of a server; an application may put its own back-end behind it. */
export interface UploadApi {
  createAsset(asset: NewAsset, signal?: AbortSignal): Promise<{ asset: Asset; upload: Upload }>;
  /** URLs for the given part numbers, by part number. */
  signParts(
    assetId: string,
    partNumbers: readonly number[],
    signal?: AbortSignal,
  ): Promise<Map<number, string>>;
  listParts(assetId: string, signal?: AbortSignal): Promise<Part[]>;
  completeUpload(assetId: string, parts: readonly Part[], signal?: AbortSignal): Promise<void>;
  /** The upload again, freshly signed. */
  getUpload(assetId: string, signal?: AbortSignal): Promise<Upload>;
  /** Deletes also what was uploaded so far. */
  deleteAsset(assetId: string): Promise<void>;
}

export class Api implements UploadApi {
  /** endpoint: address of the API without a slash at its end, for example "/v1". */
  constructor(
    private readonly endpoint: string,
    private readonly authorization: Authorization,
    private readonly proof: Proof = async () => null,
  ) {}

  listAssets(limit: number, cursor: string | null, signal?: AbortSignal): Promise<AssetPage> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (cursor !== null) query.set("cursor", cursor);
    return this.json("GET", `/assets?${query}`, { signal });
  }

  createAsset(asset: NewAsset, signal?: AbortSignal): Promise<{ asset: Asset; upload: Upload }> {
    return this.json("POST", "/assets", { body: asset, signal });
  }

  async deleteAsset(assetId: string): Promise<void> {
    await this.send("DELETE", assetPath(assetId));
  }

  getUpload(assetId: string, signal?: AbortSignal): Promise<Upload> {
    return this.json("GET", `${assetPath(assetId)}/upload`, { signal });
  }

  async signParts(
    assetId: string,
    partNumbers: readonly number[],
    signal?: AbortSignal,
  ): Promise<Map<number, string>> {
    const { parts } = await this.json<{ parts: { part_number: number; url: string }[] }>(
      "POST",
      `${assetPath(assetId)}/upload/parts`,
      { body: { part_numbers: partNumbers }, signal },
    );
    return new Map(parts.map((part) => [part.part_number, part.url]));
  }

  async listParts(assetId: string, signal?: AbortSignal): Promise<Part[]> {
    const { parts } = await this.json<{ parts: Part[] }>("GET", `${assetPath(assetId)}/upload/parts`, {
      signal,
    });
    return parts;
  }

  async completeUpload(assetId: string, parts: readonly Part[], signal?: AbortSignal): Promise<void> {
    await this.send("POST", `${assetPath(assetId)}/upload/complete`, { body: { parts }, signal });
  }

  createPlaybackSession(assetId: string, viewer: string): Promise<PlaybackSession> {
    return this.json("POST", `${assetPath(assetId)}/playback-sessions`, { body: { viewer } });
  }

  /** Sessions of anybody with this score or more, newest first, and no more than a page of them. */
  async suspiciousSessions(minScore: number): Promise<readonly SessionSummary[]> {
    const page = await this.json<{ playback_sessions: SessionSummary[] }>(
      "GET",
      `/playback-sessions?min_score=${minScore}&limit=50`,
    );
    return page.playback_sessions;
  }

  async endPlaybackSession(sessionId: string): Promise<void> {
    await this.send("DELETE", `/playback-sessions/${encodeURIComponent(sessionId)}`);
  }

  async listWebhooks(): Promise<readonly Webhook[]> {
    return (await this.json<{ webhooks: Webhook[] }>("GET", "/webhooks")).webhooks;
  }

  /** What was sent to a webhook last, and what is still owed. */
  async listDeliveries(webhookId: string): Promise<readonly Delivery[]> {
    const path = `/webhooks/${encodeURIComponent(webhookId)}/deliveries?limit=10`;
    return (await this.json<{ deliveries: Delivery[] }>("GET", path)).deliveries;
  }

  claimPlaybackSession(sessionId: string): Promise<PlayerConfig> {
    return this.json("POST", `/playback-sessions/${encodeURIComponent(sessionId)}/claim`, {
      credentials: "include",
    });
  }

  /** Tell that the player is still there; `leaving` tells that it is not, also while its page goes away.
   *
   * tampered: how often the overlay had to be put back since the last heartbeat.
   */
  heartbeat(sessionId: string, leaving = false, tampered = 0): Promise<Heartbeat> {
    return this.json("POST", `/playback-sessions/${encodeURIComponent(sessionId)}/heartbeat`, {
      body: tampered === 0 ? { leaving } : { leaving, tampered },
      credentials: "include",
      keepalive: leaving,
    });
  }

  /** The poster picture, or null when the asset has none. */
  async poster(assetId: string, signal?: AbortSignal): Promise<Blob | null> {
    try {
      return await (await this.send("GET", `${assetPath(assetId)}/poster`, { signal })).blob();
    } catch (error) {
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) return null;
      throw error;
    }
  }

  /** Server-sent events of all assets; the body is read by `events.ts`. */
  events(signal: AbortSignal): Promise<Response> {
    return this.send("GET", "/events", { signal, accept: "text/event-stream" });
  }

  private async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.send(method, path, options);
    try {
      return (await response.json()) as T;
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ApiError("The server's answer could not be read. Try again.", response.status, "bad_answer");
    }
  }

  private async send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const headers = new Headers({ Accept: options.accept ?? "application/json" });
    const authorization = await this.authorization();
    headers.set("Authorization", authorization);
    const proof = await this.proof(method, this.endpoint + path, authorization.replace(/^Bearer /, ""));
    if (proof !== null) headers.set("DPoP", proof);
    if (options.body !== undefined) headers.set("Content-Type", "application/json");
    let response: Response;
    try {
      response = await fetch(this.endpoint + path, {
        method,
        headers,
        body: options.body === undefined ? null : JSON.stringify(options.body),
        credentials: options.credentials ?? "same-origin",
        cache: "no-store",
        signal: options.signal ?? null,
        keepalive: options.keepalive ?? false,
      });
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ApiError(
        "The server cannot be reached. Check that it is running and that you are online.",
        0,
        "unreachable",
      );
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }
}

interface RequestOptions {
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  readonly accept?: string;
  readonly credentials?: RequestCredentials;
  readonly keepalive?: boolean;
}

function assetPath(assetId: string): string {
  return `/assets/${encodeURIComponent(assetId)}`;
}

/** Read the API's error shape; anything else becomes a sentence with the status. */
async function refusal(response: Response): Promise<ApiError> {
  let error: { code?: unknown; message?: unknown; request_id?: unknown } = {};
  try {
    const body = (await response.json()) as { error?: typeof error };
    error = body.error ?? {};
  } catch {
    // Not JSON: a proxy in between answered.
  }
  const message =
    typeof error.message === "string" && error.message !== ""
      ? sentence(error.message)
      : fallback(response.status);
  const code = typeof error.code === "string" ? error.code : `http_${response.status}`;
  return new ApiError(
    message,
    response.status,
    code,
    typeof error.request_id === "string" ? error.request_id : null,
    Date.parse(response.headers.get("Date") ?? "") || null,
  );
}

function fallback(status: number): string {
  if (status === 401) return "This API key is not known here.";
  if (status === 403) return "That is not allowed.";
  if (status === 404) return "That does not exist any more.";
  if (status >= 500) return "The server has a problem. Try again in a moment.";
  return `The server refused the request (HTTP ${status}).`;
}

/** Make a message of the API stand on its own: a capital in front, a full stop at the end. */
export function sentence(message: string): string {
  const text = message.trim();
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function isMultipart(upload: Upload): upload is MultipartUpload {
  return upload.method === "multipart";
}

/** What to show for any error that was caught. */
export function errorSentence(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  if (error instanceof Error && error.message !== "") return sentence(error.message);
  return "Something went wrong. Try again.";
}
