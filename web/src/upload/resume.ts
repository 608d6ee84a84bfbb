/** Remembers unfinished multipart uploads over a reload, so that choosing the same file again goes on where it was. */

import type { MultipartUpload } from "../model.ts";

/** What identifies a file on this device without reading it. */
export interface FileLike {
  readonly name: string;
  readonly size: number;
  readonly lastModified: number;
}

export interface UploadRecord {
  readonly assetId: string;
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly lastModified: number;
  readonly startedAt: number;
  readonly upload: MultipartUpload;
}

const PREFIX = "penstock.upload.";
/** The server removes abandoned uploads after a week; asking for older ones is in vain. */
const KEEP_MS = 7 * 86_400_000;

export class UploadRecords {
  /** storage: localStorage; may be missing or refuse writes (private windows), then nothing is remembered. */
  constructor(
    private readonly storage: Storage | null,
    private readonly now: () => number = Date.now,
  ) {}

  save(file: FileLike, assetId: string, upload: MultipartUpload): void {
    const record: UploadRecord = {
      assetId,
      fileName: file.name,
      sizeBytes: file.size,
      lastModified: file.lastModified,
      startedAt: this.now(),
      upload,
    };
    try {
      this.storage?.setItem(storageKey(file), JSON.stringify(record));
    } catch {
      // Full or forbidden: the upload works, it just cannot be resumed after a reload.
    }
  }

  find(file: FileLike): UploadRecord | null {
    return this.read(storageKey(file));
  }

  forget(file: FileLike): void {
    this.storage?.removeItem(storageKey(file));
  }

  /** Everything remembered, oldest first; forgets what is too old or unreadable. */
  all(): UploadRecord[] {
    const records: UploadRecord[] = [];
    for (const key of this.keys()) {
      const record = this.read(key);
      if (record === null) this.storage?.removeItem(key);
      else records.push(record);
    }
    return records.sort((a, b) => a.startedAt - b.startedAt);
  }

  private keys(): string[] {
    if (this.storage === null) return [];
    const all = Array.from({ length: this.storage.length }, (_, index) => this.storage?.key(index) ?? "");
    return all.filter((key) => key.startsWith(PREFIX));
  }

  private read(key: string): UploadRecord | null {
    try {
      const record = JSON.parse(this.storage?.getItem(key) ?? "null") as UploadRecord | null;
      if (record?.upload?.method !== "multipart" || typeof record.assetId !== "string") return null;
      return this.now() - record.startedAt < KEEP_MS ? record : null;
    } catch {
      return null;
    }
  }
}

export function asFile(record: UploadRecord): FileLike {
  return { name: record.fileName, size: record.sizeBytes, lastModified: record.lastModified };
}

export function fingerprint(file: FileLike): string {
  return `${file.size}-${file.lastModified}-${file.name}`;
}

function storageKey(file: FileLike): string {
  return PREFIX + fingerprint(file);
}
