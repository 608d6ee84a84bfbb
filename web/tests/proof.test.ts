import { beforeEach, describe, expect, it, vi } from "vitest";
import { Prover } from "../src/proof.ts";

function decoded(part: string | undefined): Record<string, unknown> {
  return JSON.parse(atob((part ?? "").replaceAll("-", "+").replaceAll("_", "/")));
}

describe("Prover", () => {
  beforeEach(() => {
    vi.stubGlobal("location", { href: "https://v.example/watch/1" });
  });

  async function prover(): Promise<Prover> {
    const found = await Prover.of("session-1");
    if (found === null) throw new Error("no WebCrypto here");
    return found;
  }

  it("signs what its key verifies, and names the request without its query", async () => {
    const [header, claims, signature] = (
      await (await prover()).proof("GET", "/assets/a/1.m4s?CMCD=x", "token")
    ).split(".");
    const { typ, alg, jwk } = decoded(header);
    expect([typ, alg]).toEqual(["dpop+jwt", "ES256"]);
    expect(Object.keys(jwk as object).sort()).toEqual(["crv", "kty", "x", "y"]);
    expect(decoded(claims)).toMatchObject({ htm: "GET", htu: "https://v.example/assets/a/1.m4s" });
    expect(decoded(claims).ath).toMatch(/^[\w-]{43}$/);
    const key = await crypto.subtle.importKey(
      "jwk",
      jwk as JsonWebKey,
      { name: "ECDSA", namedCurve: "P-256" },
      false,
      ["verify"],
    );
    const raw = Uint8Array.from(
      atob((signature ?? "").replaceAll("-", "+").replaceAll("_", "/")),
      (character) => character.charCodeAt(0),
    );
    const signed = new TextEncoder().encode(`${header}.${claims}`);
    expect(await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, raw, signed)).toBe(true);
  });

  it("never makes the same proof twice", async () => {
    const one = await prover();
    const ids = await Promise.all(
      [1, 2].map(async () => decoded((await one.proof("GET", "/x")).split(".")[1]).jti),
    );
    expect(ids[0]).not.toBe(ids[1]);
  });

  it("goes by the server's clock once it knows it", async () => {
    const one = await prover();
    expect(one.setClock(Date.now() + 1000)).toBe(false);
    expect(one.setClock(Date.now() + 3_600_000)).toBe(true);
    expect(one.setClock(Date.now() + 3_600_000)).toBe(false);
    const { iat } = decoded((await one.proof("GET", "/x")).split(".")[1]);
    expect(Number(iat)).toBeGreaterThan(Date.now() / 1000 + 3500);
  });
});
