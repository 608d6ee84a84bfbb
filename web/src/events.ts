/** Follows all assets over server-sent events. Done with fetch because EventSource cannot send an Authorization header. */

import { type Api, ApiError, isAbort } from "./api.ts";
import type { Asset } from "./model.ts";

export interface StreamEvent {
  readonly type: string;
  readonly data: string;
}

/** Cuts a text/event-stream into its events. Source: WHATWG HTML, section 9.2.6. */
export class EventStreamDecoder {
  private rest = "";
  private type = "";
  private data: string[] = [];

  /** Take in the next piece of the stream; returns each event that it completes. */
  feed(text: string): StreamEvent[] {
    const events: StreamEvent[] = [];
    // A CR at the very end may be the first half of CRLF: keep it for the next piece.
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") this.finish(events);
      else this.take(line);
    }
    return events;
  }

  private take(line: string): void {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.data.push(value);
    if (name === "event") this.type = value;
  }

  private finish(events: StreamEvent[]): void {
    if (this.data.length > 0) events.push({ type: this.type || "message", data: this.data.join("\n") });
    this.type = "";
    this.data = [];
  }
}

export interface Follower {
  /** The stream is open: whatever happened before has to be read from the list. */
  readonly onOpen: () => void;
  readonly onAsset: (asset: Asset) => void;
  readonly onDeleted: (assetId: string) => void;
  readonly onLost: () => void;
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
/** The server sends something at least every 15 s; a connection that is silent for longer is dead. */
const SILENCE_MS = 45_000;

/** Tell `follower` of every change until `signal` ends it; comes back by itself after a lost connection.
 *
 * Throws the ApiError of a refusal that will not go away, such as a key that is not known.
 */
export async function followAssets(api: Api, follower: Follower, signal: AbortSignal): Promise<void> {
  let delayMs = FIRST_DELAY_MS;
  while (!signal.aborted) {
    try {
      for await (const event of read(api, signal, follower.onOpen)) {
        delayMs = FIRST_DELAY_MS;
        tell(follower, event);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !error.retryable) throw error;
    }
    if (signal.aborted) return;
    follower.onLost();
    await pause(delayMs, signal);
    delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS);
  }
}

function tell(follower: Follower, event: StreamEvent): void {
  if (event.type === "asset") follower.onAsset(JSON.parse(event.data) as Asset);
  if (event.type === "deleted") follower.onDeleted((JSON.parse(event.data) as { id: string }).id);
}

async function* read(api: Api, signal: AbortSignal, onOpen: () => void): AsyncGenerator<StreamEvent> {
  const silence = new AbortController();
  const response = await api.events(AbortSignal.any([signal, silence.signal]));
  if (response.body === null) return;
  const decoder = new EventStreamDecoder();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    onOpen();
    for (;;) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const { done, value } = await reader.read();
      if (done) return;
      yield* decoder.feed(value);
    }
  } finally {
    clearTimeout(timer);
    await reader.cancel().catch((error: unknown) => {
      if (!isAbort(error)) throw error;
    });
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
