import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../src/api.ts";
import { Heartbeats } from "../src/heartbeat.ts";

const answer = {
  expires_at: "2030-01-01T00:00:00Z",
  license_token: "new",
  dash_token_url: null,
  drm: {},
  heartbeat_s: 10,
};

function setUp(...answers: (typeof answer | ApiError)[]) {
  const api = {
    heartbeat: vi.fn((_session: string, _leaving?: boolean, _tampered?: number) => {
      const next = answers.shift() ?? answer;
      return next instanceof ApiError ? Promise.reject(next) : Promise.resolve(next);
    }),
  };
  const beat = vi.fn();
  const over = vi.fn();
  const heartbeats = new Heartbeats(api, "s", beat, over);
  return { api, beat, over, heartbeats };
}

describe("Heartbeats", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("window", globalThis);
    vi.stubGlobal("addEventListener", vi.fn());
    vi.stubGlobal("removeEventListener", vi.fn());
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("come as often as the server wants", async () => {
    const { api, beat, heartbeats } = setUp();
    heartbeats.start(4);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(beat).toHaveBeenCalledWith(answer);
    await vi.advanceTimersByTimeAsync(9_000);
    expect(api.heartbeat).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(api.heartbeat).toHaveBeenCalledTimes(2);
  });

  it("outlive a server that is away", async () => {
    const { beat, over, heartbeats } = setUp(
      new ApiError("x", 0, "unreachable"),
      new ApiError("x", 502, "upstream_error"),
    );
    heartbeats.start(4);
    await vi.advanceTimersByTimeAsync(12_000);
    expect(over).not.toHaveBeenCalled();
    expect(beat).toHaveBeenCalledTimes(1);
  });

  it.each([
    new ApiError("x", 403, "session_expired"),
    new ApiError("x", 429, "too_many_streams"),
    new ApiError("x", 404, "not_found"),
  ])("end when the session is over: %s", async (error) => {
    const { api, over, heartbeats } = setUp(error);
    heartbeats.start(4);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(over).toHaveBeenCalledWith(error);
    expect(api.heartbeat).toHaveBeenCalledTimes(1);
  });

  it("go on when there are too many requests for another reason", async () => {
    const { over, heartbeats } = setUp(new ApiError("x", 429, "http_429"));
    heartbeats.start(4);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(over).not.toHaveBeenCalled();
  });

  it("say once that the player leaves, and nothing after it", async () => {
    const { api, beat, heartbeats } = setUp();
    heartbeats.start(4);
    heartbeats.stop(true);
    heartbeats.stop(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(api.heartbeat.mock.calls).toEqual([["s", true, 0]]);
    expect(beat).not.toHaveBeenCalled();
  });

  it("report tampering at once, and again when the server was away", async () => {
    const { api, heartbeats } = setUp(new ApiError("x", 0, "unreachable"));
    heartbeats.start(10);
    heartbeats.report();
    heartbeats.report();
    await vi.advanceTimersByTimeAsync(0);
    await vi.advanceTimersByTimeAsync(10_000);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(api.heartbeat.mock.calls.map((call) => call[2])).toEqual([2, 2, 0]);
  });

  it("tell a last time of tampering when the player leaves", () => {
    const { api, heartbeats } = setUp();
    heartbeats.start(10);
    heartbeats.report();
    heartbeats.stop(true);
    expect(api.heartbeat.mock.calls).toEqual([["s", true, 1]]);
  });
});
