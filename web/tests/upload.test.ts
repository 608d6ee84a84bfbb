import { describe, expect, it } from "vitest";
import type { MultipartUpload } from "../src/model.ts";
import { Pace } from "../src/upload/pace.ts";
import { UploadRecords } from "../src/upload/resume.ts";
import { PartSigner } from "../src/upload/signer.ts";
import { storageSentence } from "../src/upload/transfer.ts";

/** A server that signs and writes down what it was asked for. */
function server() {
  const asked: number[][] = [];
  const sign = async (numbers: readonly number[]) => {
    asked.push([...numbers]);
    return new Map(numbers.map((number) => [number, `part-${number}-signature-${asked.length}`]));
  };
  return { asked, sign };
}

describe("PartSigner", () => {
  it("asks for a batch and gives each part its own address", async () => {
    const { asked, sign } = server();
    const signer = new PartSigner(sign, 10, { batchSize: 4 });
    const urls = await Promise.all([1, 2, 3, 4, 5].map((part) => signer.take(part)));
    expect(urls.map((url) => url.split("-")[1])).toEqual(["1", "2", "3", "4", "5"]);
    expect(asked).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ]);
  });

  it("asks for no part that is on the server, and for none beyond the last", async () => {
    const { asked, sign } = server();
    const signer = new PartSigner(sign, 6, { batchSize: 10 });
    signer.skip([1, 2, 4]);
    await signer.take(3);
    expect(asked).toEqual([[3, 5, 6]]);
  });

  it("gives a new address to a part that failed with the first", async () => {
    const { sign } = server();
    const signer = new PartSigner(sign, 3);
    const first = await signer.take(2);
    expect(await signer.take(2)).not.toBe(first);
  });

  it("does not use an address that has grown old", async () => {
    const { asked, sign } = server();
    let now = 0;
    const signer = new PartSigner(sign, 2, { freshMs: 1000, now: () => now });
    await signer.take(1);
    now = 1001;
    expect(await signer.take(2)).toBe("part-2-signature-2");
    expect(asked).toHaveLength(2);
  });

  it("asks again after a failed request", async () => {
    const { sign } = server();
    let isDown = true;
    const signer = new PartSigner(
      (numbers) => (isDown ? Promise.reject(new Error("down")) : sign(numbers)),
      2,
    );
    await expect(signer.take(1)).rejects.toThrow("down");
    isDown = false;
    expect(await signer.take(1)).toContain("part-1-");
  });

  it("says which part the server forgot", async () => {
    const signer = new PartSigner(async () => new Map(), 2);
    await expect(signer.take(2)).rejects.toThrow("part 2");
  });
});

class MemoryStorage implements Storage {
  private readonly map = new Map<string, string>();
  get length() {
    return this.map.size;
  }
  clear = () => this.map.clear();
  key = (index: number) => [...this.map.keys()][index] ?? null;
  getItem = (key: string) => this.map.get(key) ?? null;
  removeItem = (key: string) => void this.map.delete(key);
  setItem(key: string, value: string) {
    this.map.set(key, value);
  }
}

const UPLOAD: MultipartUpload = {
  method: "multipart",
  upload_id: "u",
  object_key: "inputs/a/film.mov",
  part_size_bytes: 8 * 2 ** 20,
  part_count: 5,
};
const FILE = { name: "film.mov", size: 40_000_000, lastModified: 1 };

describe("UploadRecords", () => {
  it("finds what was saved for the same file only", () => {
    const records = new UploadRecords(new MemoryStorage());
    records.save(FILE, "a", UPLOAD);
    expect(records.find(FILE)).toMatchObject({ assetId: "a", upload: UPLOAD });
    expect(records.find({ ...FILE, size: 1 })).toBeNull();
    expect(records.find({ ...FILE, lastModified: 2 })).toBeNull();
    records.forget(FILE);
    expect(records.find(FILE)).toBeNull();
  });

  it("forgets after a week, as the server does", () => {
    let now = 0;
    const records = new UploadRecords(new MemoryStorage(), () => now);
    records.save(FILE, "a", UPLOAD);
    now = 7 * 86_400_000;
    expect(records.all()).toEqual([]);
  });

  it.each(["", "{", "null", "[]", '{"upload": {"method": "post"}}'])("passes over %j in storage", (text) => {
    const storage = new MemoryStorage();
    storage.setItem("penstock.upload.x", text);
    storage.setItem("of something else", "stays");
    expect(new UploadRecords(storage).all()).toEqual([]);
    expect(storage.getItem("of something else")).toBe("stays");
  });

  it("works without storage and with a full one", () => {
    const full = new MemoryStorage();
    full.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
    for (const storage of [null, full]) {
      const records = new UploadRecords(storage);
      records.save(FILE, "a", UPLOAD);
      expect(records.find(FILE)).toBeNull();
    }
  });
});

describe("Pace", () => {
  it("is silent at first, then tells bytes per second of the last seconds", () => {
    let now = 0;
    const pace = new Pace(() => now);
    pace.note(0);
    expect(pace.bytesPerSecond).toBeNull();
    for (const [at, sent] of [
      [1000, 1000],
      [10_000, 1000],
      [11_000, 6000],
    ] as const) {
      now = at;
      pace.note(sent);
    }
    expect(pace.bytesPerSecond).toBe(5000);
  });
});

describe("storageSentence", () => {
  const xml = (code: string, message = "") =>
    `<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  it("explains codes of S3", () => expect(storageSentence(400, xml("EntityTooLarge"))).toContain("larger"));
  it("keeps the words by which an expired request is signed anew", () =>
    expect(storageSentence(403, xml("AccessDenied", "Request has expired"))).toBe("Request has expired"));
  it("says something about an answer that is no XML", () =>
    expect(storageSentence(503, "<html>")).toContain("Try again"));
  it("shows a code it does not know, and no markup", () => {
    expect(storageSentence(400, xml("OddThing"))).toContain("OddThing");
    expect(storageSentence(400, xml("<b>"))).toContain("HTTP 400");
  });
});
