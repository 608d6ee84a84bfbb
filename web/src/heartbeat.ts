/** Keeps a playback session alive while its player is there, and tells when it may not go on. Knows no video. */

import { type Api, ApiError } from "./api.ts";
import type { Heartbeat } from "./model.ts";

export class Heartbeats {
  private timer: number | undefined;
  private stopped = false;
  private tampered = 0;
  private intervalS = 0;

  /** beat: what a heartbeat brought. over: the API said that the session has ended; nothing comes after it. */
  constructor(
    private readonly api: Pick<Api, "heartbeat">,
    private readonly sessionId: string,
    private readonly beat: (heartbeat: Heartbeat) => void,
    private readonly over: (error: ApiError) => void,
  ) {}

  start(intervalS: number): void {
    this.intervalS = intervalS;
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

  /** Tell with the next heartbeat, which is due at once, that the overlay had to be put back. */
  report(): void {
    this.tampered += 1;
    if (!this.stopped && this.tampered === 1) this.schedule(0);
  }

  private readonly leave = (): void => {
    this.api.heartbeat(this.sessionId, true, this.tampered).catch(() => undefined);
  };

  private schedule(intervalS: number): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.tell(), intervalS * 1000);
  }

  private async tell(): Promise<void> {
    const { tampered } = this;
    try {
      const heartbeat = await this.api.heartbeat(this.sessionId, false, tampered);
      this.tampered -= tampered;
      if (this.stopped) return;
      this.beat(heartbeat);
      this.intervalS = heartbeat.heartbeat_s;
    } catch (error) {
      if (this.stopped) return;
      if (isOver(error)) {
        this.stop(false);
        this.over(error);
        return;
      }
      // A server or network that is away: the film goes on from its buffer, and the next heartbeat comes.
    }
    this.schedule(this.intervalS);
  }
}

export function isOver(error: unknown): error is ApiError {
  if (!(error instanceof ApiError)) return false;
  return error.code === "too_many_streams" || [401, 403, 404].includes(error.status);
}
