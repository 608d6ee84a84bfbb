/** Hands out presigned part URLs, asking the server for many at a time. */

type Sign = (partNumbers: readonly number[]) => Promise<Map<number, string>>;

interface Options {
  readonly batchSize?: number;
  /** After this time an unused URL is asked for anew; well below the server's own expiry. */
  readonly freshMs?: number;
  readonly now?: () => number;
}

export class PartSigner {
  private readonly ready = new Map<number, { url: string; at: number }>();
  private readonly asked = new Map<number, Promise<Map<number, string>>>();
  private readonly used = new Set<number>();
  private readonly batchSize: number;
  private readonly freshMs: number;
  private readonly now: () => number;

  constructor(
    private readonly sign: Sign,
    private readonly partCount: number,
    options: Options = {},
  ) {
    this.batchSize = options.batchSize ?? 24;
    this.freshMs = options.freshMs ?? 15 * 60_000;
    this.now = options.now ?? Date.now;
  }

  /** Parts that are on the server already need no URL. */
  skip(partNumbers: Iterable<number>): void {
    for (const number of partNumbers) this.used.add(number);
  }

  /** A URL for this part. Each is given out once: whoever asks again got an error with the first one. */
  async take(partNumber: number): Promise<string> {
    this.used.add(partNumber);
    const kept = this.ready.get(partNumber);
    this.ready.delete(partNumber);
    if (kept !== undefined && this.now() - kept.at < this.freshMs) return kept.url;
    const urls = await (this.asked.get(partNumber) ?? this.ask(this.batchFrom(partNumber)));
    this.ready.delete(partNumber);
    const url = urls.get(partNumber);
    if (url === undefined) throw new Error(`The server gave no address for part ${partNumber}.`);
    return url;
  }

  private batchFrom(first: number): number[] {
    const batch = [first];
    for (let n = first + 1; n <= this.partCount && batch.length < this.batchSize; n += 1) {
      if (!this.used.has(n) && !this.ready.has(n) && !this.asked.has(n)) batch.push(n);
    }
    return batch;
  }

  private ask(batch: number[]): Promise<Map<number, string>> {
    const answer = this.sign(batch)
      .then((urls) => {
        const at = this.now();
        for (const [number, url] of urls) this.ready.set(number, { url, at });
        return urls;
      })
      .finally(() => {
        for (const number of batch) this.asked.delete(number);
      });
    for (const number of batch) this.asked.set(number, answer);
    return answer;
  }
}
