import { describe, expect, it } from "vitest";
import { ApiError, errorSentence, sentence } from "../src/api.ts";
import { isWorthRetrying, playbackSentence } from "../src/player-errors.ts";

const shaka = (code: number, ...data: unknown[]) => ({ category: Math.floor(code / 1000), code, data });
const refused = (status: number) => shaka(1001, "http://127.0.0.1/x", status, "", {}, 1);

describe("playbackSentence", () => {
  it("explains a claim with a wrong token", () =>
    expect(playbackSentence(new ApiError("x", 401, "unauthorized"))).toContain("Ask for a new one"));
  it("explains missing cookies", () => expect(playbackSentence(refused(403))).toContain("cookies"));
  it("explains a license that is refused", () =>
    expect(playbackSentence(shaka(6007, refused(403)))).toContain("new link"));
  it("explains a browser without the key system", () =>
    expect(playbackSentence(shaka(6001))).toContain("Firefox"));
  it("blames the connection for a lost one", () =>
    expect(playbackSentence(shaka(1002))).toContain("connection"));
  it("gives the number of an error that it does not know", () =>
    expect(playbackSentence(shaka(4999))).toContain("4999"));
  it("has a sentence for anything", () => {
    for (const odd of [null, undefined, 7, new Error("secret"), { code: "x" }]) {
      expect(playbackSentence(odd)).toMatch(/^[A-Z].*\.$/);
      expect(playbackSentence(odd)).not.toContain("secret");
    }
  });
});

describe("isWorthRetrying", () => {
  it("is true when the server may come back", () => {
    expect(isWorthRetrying(shaka(1002))).toBe(true);
    expect(isWorthRetrying(refused(503))).toBe(true);
    expect(isWorthRetrying(new ApiError("x", 0, "unreachable"))).toBe(true);
  });
  it("is false when the answer stays no", () => {
    expect(isWorthRetrying(refused(403))).toBe(false);
    expect(isWorthRetrying(shaka(6007, refused(403)))).toBe(false);
    expect(isWorthRetrying(shaka(6001))).toBe(false);
    expect(isWorthRetrying(new ApiError("x", 403, "forbidden"))).toBe(false);
  });
});

describe("sentences", () => {
  it.each([
    ["the asset is converting", "The asset is converting."],
    ["Done!", "Done!"],
    ["  wait ", "Wait."],
  ])("makes %j stand on its own", (message, text) => expect(sentence(message)).toBe(text));
  it("has words for an error without any", () => expect(errorSentence({})).toContain("Try again"));
});
