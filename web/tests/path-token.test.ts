import { describe, expect, it } from "vitest";
import { manifestFor, renewed } from "../src/path-token.ts";

const config = {
  dash_url: "https://v.test/assets/a/m.mpd",
  dash_token_url: "https://v.test/t/abc/assets/a/m.mpd",
};

describe("manifestFor", () => {
  it("uses cookies on a page of ours", () =>
    expect(manifestFor(config, "https://v.test")).toBe(config.dash_url));
  it("uses the path token elsewhere", () =>
    expect(manifestFor(config, "https://shop.test")).toBe(config.dash_token_url));
  it("makes do without", () =>
    expect(manifestFor({ ...config, dash_token_url: null }, "https://shop.test")).toBe(config.dash_url));
  it("is null without a manifest", () =>
    expect(manifestFor({ dash_url: null, dash_token_url: null }, "https://v.test")).toBeNull());
});

describe("renewed", () => {
  const latest = "https://v.test/t/new/assets/a/m.mpd";
  it("replaces the token and nothing else", () =>
    expect(renewed("https://v.test/t/abc/assets/a/1.m4s?x=/t/abc/", latest)).toBe(
      "https://v.test/t/new/assets/a/1.m4s?x=/t/abc/",
    ));
  it.each([
    "https://v.test/assets/a/1.m4s",
    "https://other.test/t/abc/assets/a/1.m4s",
    "https://v.test/x/t/abc/1.m4s",
  ])("leaves %s alone", (address) => expect(renewed(address, latest)).toBe(address));
  it("leaves everything alone before the first renewal", () =>
    expect(renewed("https://v.test/t/abc/1.m4s", null)).toBe("https://v.test/t/abc/1.m4s"));
});
