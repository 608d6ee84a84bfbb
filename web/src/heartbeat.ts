/** Keeps a playback session alive while its player is there, and tells when it may not go on. Knows no video. */

import { type Api, ApiError } from "./api.ts";
import type { Heartbeat } from "./model.ts";

export class Heartbeats {
  private timer: number | undefined;
  private stopped = false;

  /** beat: what a heartbeat brought. over: the API said that the session has ended; nothing comes after it. */
  constructor(
    private readonly api: Pick<Api, "heartbeat">,
    private readonly sessionId: string,
    private readonly beat: (heartbeat: Heartbeat) => void,
    private readonly over: (error: ApiError) => void,
  ) {}

  start(intervalS: number): void {
    this.schedule(intervalS);
    addEventListener("pagehide", this.leave);
  }

  /** End without a word, or with one: then the viewer's place is free for another stream. */
  stop(leaving: boolean): void {
    if (this.stopped) return;
    this.stopped = true;
    clearTimeout(this.timer);
    removeEventListener("pagehide", this.leave);
    if (leaving) this.leave();
  }

  private readonly leave = (): void => {
    this.api.heartbeat(this.sessionId, true).catch(() => undefined);
  };

  private schedule(intervalS: number): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.tell(intervalS), intervalS * 1000);
  }

  private async tell(intervalS: number): Promise<void> {
    let next = intervalS;
    try {
      const heartbeat = await this.api.heartbeat(this.sessionId);
      if (this.stopped) return;
      this.beat(heartbeat);
      next = heartbeat.heartbeat_s;
    } catch (error) {
      if (this.stopped) return;
      if (isOver(error)) {
        this.stop(false);
        this.over(error);
        return;
      }
      // A server or network that is away: the film goes on from its buffer, and the next heartbeat comes.
    }
    this.schedule(next);
  }
}

export function isOver(error: unknown): error is ApiError {
  if (!(error instanceof ApiError)) return false;
  return error.code === "too_many_streams" || [401, 403, 404].includes(error.status);
}
