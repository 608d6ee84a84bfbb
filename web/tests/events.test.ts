import { describe, expect, it } from "vitest";
import { EventStreamDecoder } from "../src/events.ts";

const STREAM =
  ': following\n\nevent: asset\ndata: {"id": "a"}\n\ndata: one\ndata:two\nid: 4\n\n: heartbeat\n\n';
const EVENTS = [
  { type: "asset", data: '{"id": "a"}' },
  { type: "message", data: "one\ntwo" },
];

describe("EventStreamDecoder", () => {
  it("reads events and passes over comments and unknown fields", () =>
    expect(new EventStreamDecoder().feed(STREAM)).toEqual(EVENTS));

  it.each(["\n", "\r\n", "\r"])("reads lines that end in %j, cut anywhere", (end) => {
    const decoder = new EventStreamDecoder();
    const characters = [...STREAM.replaceAll("\n", end), end];
    expect(characters.flatMap((character) => decoder.feed(character))).toEqual(EVENTS);
  });

  it("tells nothing of an event that is not finished", () =>
    expect(new EventStreamDecoder().feed("data: half\n")).toEqual([]));

  it("forgets the name of an event without data", () =>
    expect(new EventStreamDecoder().feed("event: asset\n\ndata: x\n\n")).toEqual([
      { type: "message", data: "x" },
    ]));
});
