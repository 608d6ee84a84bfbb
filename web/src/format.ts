/** Numbers, times and states in words for people. Pure. */

import type { Asset, AssetState, Job } from "./model.ts";

const UNITS = ["bytes", "kB", "MB", "GB", "TB"] as const;

/** "1.4 GB"; decimal units, as disks and operating systems show them. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  if (unit === 0) return count === 1 ? "1 byte" : `${count} bytes`;
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** "1:02:03" or "0:09"; seconds rounded down, never less than one second for something that has a length. */
export function duration(seconds: number): string {
  const whole = Math.max(seconds > 0 ? 1 : 0, Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = String(whole % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** "12 min left"; empty when nothing can be said yet. */
export function timeLeft(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 59.5) return `${Math.max(1, Math.round(seconds))} s left`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min left`;
  const rest = minutes % 60;
  return rest === 0 ? `${minutes / 60} h left` : `${Math.floor(minutes / 60)} h ${rest} min left`;
}

/** The reader's own English ("en-US" has its hours, "en-GB" others), since the words around a time are English. */
export function readersEnglish(languages: readonly string[] = navigator.languages): string {
  return languages.find((tag) => /^en\b/i.test(tag)) ?? "en-GB";
}

/** "today, 14:05", "yesterday, 09:30" or "3 Nov 2026, 14:05" in the reader's time zone. */
export function moment(iso: string, now: Date = new Date(), locale = readersEnglish()): string {
  const then = new Date(iso);
  if (Number.isNaN(then.getTime())) return "";
  const time = then.toLocaleTimeString(locale, { timeStyle: "short" });
  const days = Math.round((midnight(now) - midnight(then)) / 86_400_000);
  if (Math.abs(days) <= 1) {
    const word = new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(-days, "day");
    return `${word}, ${time}`;
  }
  return `${then.toLocaleDateString(locale, { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

function midnight(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

const STATES: Record<AssetState, string> = {
  waiting: "Waiting for upload",
  converting: "Converting",
  packaging: "Packaging",
  published: "Ready to watch",
  failed: "Failed",
};

export function stateLabel(asset: Asset): string {
  return withPercent(STATES[asset.state] ?? asset.state, asset.percent);
}

export function jobLabel(job: Job): string {
  const label = STATES[job.state as AssetState] ?? job.state;
  return withPercent(label, job.state === "published" ? null : job.percent);
}

function withPercent(label: string, percent: number | null | undefined): string {
  return percent == null ? label : `${label} ${percent} %`;
}
