import { describe, expect, it } from "vitest";
import { bytes, duration, jobLabel, moment, readersEnglish, stateLabel, timeLeft } from "../src/format.ts";
import type { Asset } from "../src/model.ts";

describe("bytes", () => {
  it.each([
    [0, "0 bytes"],
    [1, "1 byte"],
    [999, "999 bytes"],
    [1000, "1.0 kB"],
    [9_949, "9.9 kB"],
    [9_960, "10 kB"],
    [999_499, "999 kB"],
    [999_500, "1.0 MB"],
    [61_000_000, "61 MB"],
    [1_400_000_000, "1.4 GB"],
    [5e15, "5000 TB"],
  ])("shows %d as %s", (count, text) => expect(bytes(count)).toBe(text));
});

describe("duration", () => {
  it.each([
    [0, "0:00"],
    [0.4, "0:01"],
    [9.96, "0:09"],
    [60, "1:00"],
    [3599.9, "59:59"],
    [3723, "1:02:03"],
  ])("shows %d s as %s", (seconds, text) => expect(duration(seconds)).toBe(text));
});

describe("timeLeft", () => {
  it.each([
    [0.2, "1 s left"],
    [42, "42 s left"],
    [90, "2 min left"],
    [3700, "1 h 2 min left"],
    [Number.POSITIVE_INFINITY, ""],
    [Number.NaN, ""],
    [-1, ""],
  ])("shows %d s as '%s'", (seconds, text) => expect(timeLeft(seconds)).toBe(text));

  it("never says 60 min", () => expect(timeLeft(3599)).toBe("1 h left"));
  it("never says 1 h 60 min", () => expect(timeLeft(7199)).toBe("2 h left"));
});

describe("moment", () => {
  const now = new Date(2026, 10, 22, 15, 0);
  const at = (...parts: [number, number, number, number, number]) => new Date(...parts).toISOString();

  it("says today", () => expect(moment(at(2026, 10, 22, 14, 5), now, "en-GB")).toBe("today, 14:05"));
  it("says yesterday over midnight", () =>
    expect(moment(at(2026, 10, 21, 23, 59), now, "en-GB")).toBe("yesterday, 23:59"));
  it("says tomorrow, for a link that ends then", () =>
    expect(moment(at(2026, 10, 23, 1, 0), now, "en-GB")).toBe("tomorrow, 01:00"));
  it("gives the date otherwise", () =>
    expect(moment(at(2026, 10, 3, 9, 30), now, "en-GB")).toBe("3 Nov 2026, 09:30"));
  it("writes hours as the reader's English does", () =>
    expect(moment(at(2026, 10, 22, 14, 5), now, "en-US")).toMatch(/^today, 2:05\sPM$/));
  it.each([
    [["de-AT", "en-US", "en"], "en-US"],
    [["fr"], "en-GB"],
    [[], "en-GB"],
  ])("takes of %j the English %s", (languages, taken) => expect(readersEnglish(languages)).toBe(taken));
  it("is silent about what is no time", () => expect(moment("soon", now, "en-GB")).toBe(""));
});

describe("stateLabel", () => {
  const asset: Asset = { id: "a", title: "A", state: "converting", created_at: "", percent: 42 };
  it("tells the percentage", () => expect(stateLabel(asset)).toBe("Converting 42 %"));
  it("tells it to the end of packaging", () =>
    expect(stateLabel({ ...asset, state: "packaging", percent: 95 })).toBe("Packaging 95 %"));
  it("tells it of a job, and not once it is ready", () => {
    expect(jobLabel({ settings: "hd", state: "converting", percent: 7 })).toBe("Converting 7 %");
    expect(jobLabel({ settings: "hd", state: "published", percent: 100 })).toBe("Ready to watch");
  });
  it("does without it", () => expect(stateLabel({ ...asset, percent: null })).toBe("Converting"));
  it("shows a state of a later server as it is", () =>
    expect(stateLabel({ ...asset, percent: null, state: "archived" as Asset["state"] })).toBe("archived"));
});
