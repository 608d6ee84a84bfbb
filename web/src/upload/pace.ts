/** How fast bytes go out, from what was seen over the last seconds. */

const WINDOW_MS = 6000;

export class Pace {
  private samples: { at: number; bytes: number }[] = [];

  constructor(private readonly now: () => number = () => performance.now()) {}

  note(bytes: number): void {
    const at = this.now();
    this.samples.push({ at, bytes });
    this.samples = this.samples.filter((sample) => at - sample.at <= WINDOW_MS);
  }

  reset(): void {
    this.samples = [];
  }

  /** True when nothing has gone out for longer than a working connection is silent. */
  get stalled(): boolean {
    const last = this.samples.at(-1);
    return last !== undefined && this.now() - last.at > WINDOW_MS;
  }

  /** Bytes per second, or null while too little was seen to say. */
  get bytesPerSecond(): number | null {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (this.stalled || first === undefined || last === undefined || last.at - first.at < 500) return null;
    return Math.max(0, ((last.bytes - first.bytes) * 1000) / (last.at - first.at));
  }
}
