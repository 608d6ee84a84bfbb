/** Signs requests with a key that never leaves this browser, for playback sessions that are bound to one.
 *
 * Standard: RFC 9449 (DPoP), ES256. The private key cannot be exported, not even by this page; it lies in IndexedDB so
 * that a reload plays on. Without WebCrypto (pages without TLS, but for this machine's own) there is no key.
 */

const DATABASE = "penstock";
const STORE = "keys";
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;

export class Prover {
  /** What the server's clock is ahead of ours, in milliseconds. */
  private aheadMs = 0;

  private constructor(
    private readonly key: CryptoKey,
    private readonly jwk: JsonWebKey,
  ) {}

  /** The prover of a playback session: the key that it had in this browser before, else a new one. */
  static async of(sessionId: string): Promise<Prover | null> {
    if (globalThis.crypto?.subtle === undefined) return null;
    const pair = (await kept(sessionId)) ?? (await made(sessionId));
    const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
    return new Prover(pair.privateKey, { kty, crv, x, y } as JsonWebKey);
  }

  /** Take over the server's clock where ours is off; true when that changes anything. */
  setClock(serverMs: number | null): boolean {
    const aheadMs = serverMs === null ? 0 : serverMs - Date.now();
    if (Math.abs(aheadMs - this.aheadMs) < 5000) return false;
    this.aheadMs = aheadMs;
    return true;
  }

  /** A proof for one request. token: the one in its Authorization header, if it has one. */
  async proof(method: string, address: string, token?: string): Promise<string> {
    const { origin, pathname } = new URL(address, location.href);
    const claims = {
      jti: crypto.randomUUID(),
      htm: method,
      htu: origin + pathname,
      iat: Math.floor((Date.now() + this.aheadMs) / 1000),
      ...(token === undefined ? {} : { ath: base64url(await sha256(token)) }),
    };
    const header = { typ: "dpop+jwt", alg: "ES256", jwk: this.jwk };
    const signed = `${part(header)}.${part(claims)}`;
    const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, this.key, bytes(signed));
    return `${signed}.${base64url(signature)}`;
  }
}

async function made(sessionId: string): Promise<CryptoKeyPair> {
  const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign"]);
  try {
    await answer((await store("readwrite")).put(pair, sessionId));
  } catch {
    // Storage is forbidden: the key then lives as long as the page.
  }
  return pair;
}

async function kept(sessionId: string): Promise<CryptoKeyPair | null> {
  try {
    return (await answer<CryptoKeyPair | undefined>((await store("readonly")).get(sessionId))) ?? null;
  } catch {
    return null;
  }
}

async function store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  return (await answer(opening)).transaction(STORE, mode).objectStore(STORE);
}

function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function sha256(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", bytes(text));
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function part(members: object): string {
  return base64url(bytes(JSON.stringify(members)).buffer);
}

function base64url(raw: ArrayBuffer): string {
  const text = btoa(String.fromCharCode(...new Uint8Array(raw)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
