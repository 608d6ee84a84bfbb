// Runs the CloudFront Function in Node: `cf` is played with an own COSE_Mac0 reader, as AWS documents validateToken.
// stdin: {source, store, events}; stdout: what the handler answered to each.
import crypto, { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

const { source, store, events } = JSON.parse(readFileSync(0, "utf8"));

function decode(bytes) {
  let at = 0;
  function item() {
    const head = bytes[at++];
    if (head === undefined) throw new Error("cut off");
    const major = head >> 5;
    let value = head & 31;
    if (value > 27) throw new Error("endless");
    if (value > 23) {
      const length = 1 << (value - 24);
      value = Number(BigInt(`0x${bytes.subarray(at, at + length).toString("hex")}`));
      at += length;
    }
    if (major === 0) return value;
    if (major === 1) return -1 - value;
    if (major === 2 || major === 3) {
      const raw = bytes.subarray(at, (at += value));
      return major === 2 ? raw : raw.toString();
    }
    if (major === 4) return Array.from({ length: value }, item);
    if (major === 5) return Object.fromEntries(Array.from({ length: value }, () => [item(), item()]));
    if (major === 6) return { tag: value, value: item() };
    throw new Error("not used in tokens");
  }
  const result = item();
  if (at !== bytes.length) throw new Error("bytes after the end");
  return result;
}

function head(bytes) {
  return bytes.length < 24 ? Buffer.from([0x40 + bytes.length]) : Buffer.from([0x58, bytes.length]);
}

const cf = {
  kvs: () => ({
    get: async (name) => {
      if (!(name in store)) throw new Error("KeyNotFound");
      return store[name];
    },
    exists: async (name) => name in store,
  }),
  cwt: {
    validateToken(raw, { key }) {
      const { tag, value } = decode(raw);
      if (tag !== 17) throw new Error("no COSE_Mac0");
      const [header, , payload, mac] = value;
      if (decode(header)[1] !== 5) throw new Error("another algorithm");
      const content = [Buffer.from([0x84, 0x64]), Buffer.from("MAC0"), head(header), header, Buffer.from([0x40])];
      const wanted = createHmac("sha256", key).update(Buffer.concat([...content, head(payload), payload])).digest();
      if (mac.length !== 32 || !timingSafeEqual(wanted, mac)) throw new Error("another key");
      return { payload: decode(payload) };
    },
  },
};

const body = source.replace(/^import \w+ from '\w+';$/gm, "");
const handler = new Function("cf", "crypto", `${body}; return handler;`)(cf, crypto);
const answers = [];
for (const event of events) answers.push(await handler(event));
process.stdout.write(JSON.stringify(answers));
