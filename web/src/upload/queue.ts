/** Uploads files: three at a time, each as one form or in parts, with pause, retry, and resume after a reload.
 *
 * Uppy moves the bytes (chunks, parallel requests, retries, offline); which asset a file becomes, the signed requests
 * and what is remembered is ours. Every multipart upload runs through Uppy's way for restored uploads, since that
 * one lists the parts first and does not throw away what is on the server when something fails.
 */

import AwsS3 from "@uppy/aws-s3";
import Uppy from "@uppy/core";
import { ApiError, errorSentence, isMultipart, type UploadApi } from "../api.ts";
import type { Upload } from "../model.ts";
import { UploadItem, type UploadState } from "./item.ts";
import { fingerprint, type UploadRecords } from "./resume.ts";
import { PartSigner } from "./signer.ts";
import { TransferError, transfer } from "./transfer.ts";

const FILES_AT_ONCE = 3;
const RETRY_DELAYS_MS = [300, 1000, 3000, 8000, 15_000];

type Meta = { itemId: string };
type Body = Record<string, never>;

export class UploadQueue {
  readonly items = new Map<string, UploadItem>();
  private readonly uppy: Uppy<Meta, Body>;
  private readonly partSizes = new WeakMap<object, number>();

  constructor(
    private readonly api: () => UploadApi,
    private readonly records: UploadRecords,
    private readonly onChange: (item: UploadItem) => void,
  ) {
    this.uppy = new Uppy<Meta, Body>({
      autoProceed: false,
      onBeforeFileAdded: () => true,
      logger: { debug: () => undefined, warn: () => undefined, error: () => undefined }, // the rows tell every error
    });
    this.uppy.use(AwsS3, {
      limit: 6,
      retryDelays: RETRY_DELAYS_MS,
      shouldUseMultipart: (file) => this.uploadOf(file).method === "multipart",
      getChunkSize: (data) => this.partSizes.get(data) ?? data.size,
      getUploadParameters: (file) => this.form(file),
      createMultipartUpload: (file) => this.started(file),
      listParts: (file) => this.listed(file),
      signPart: (file, { partNumber }) => this.signed(file, partNumber),
      completeMultipartUpload: (file, { parts }) => this.complete(file, parts),
      // Only `cancel` gives up an upload, and does it itself; Uppy would also do so after any error.
      abortMultipartUpload: () => undefined,
      uploadPartBytes: transfer,
    });
    this.uppy.on("upload-progress", (file, progress) => {
      if (file) this.progressed(this.itemOf(file), progress.bytesUploaded || 0);
    });
    this.uppy.on("upload-success", (file) => {
      if (file) void this.arrived(this.itemOf(file));
    });
    this.uppy.on("upload-error", (file, error) => {
      if (file) this.failed(this.itemOf(file), error);
    });
  }

  /** Put a file in line. A file that is in line already is not taken twice; one that failed is tried again. */
  add(file: File): UploadItem {
    const id = fingerprint(file);
    const present = this.items.get(id);
    if (present !== undefined && present.state !== "done") {
      this.retry(present);
      return present;
    }
    const item = new UploadItem(id, file);
    this.items.set(id, item);
    if (file.size === 0) {
      item.canRetry = false;
      this.set(item, "failed", "This file is empty.");
    } else {
      this.onChange(item);
      this.startWaiting();
    }
    return item;
  }

  pause(item: UploadItem): void {
    if (item.uppyId !== null && item.state === "sending" && !this.isBetweenTries(item)) {
      this.uppy.pauseResume(item.uppyId);
    }
    if (item.state === "sending" || item.state === "queued") this.set(item, "paused");
    this.startWaiting();
  }

  resume(item: UploadItem): void {
    if (item.state !== "paused") return;
    item.pace.reset();
    if (item.uppyId === null) {
      this.set(item, "queued");
      this.startWaiting();
    } else {
      if (this.isBetweenTries(item)) void this.uppy.retryUpload(item.uppyId);
      else this.uppy.pauseResume(item.uppyId);
      this.set(item, "sending");
    }
  }

  /** True when the last try failed and the next has not begun; then Uppy has nothing to pause. */
  private isBetweenTries(item: UploadItem): boolean {
    return item.uppyId !== null && Boolean(this.uppy.getFile(item.uppyId)?.error);
  }

  retry(item: UploadItem): void {
    if (item.state !== "failed" || !item.canRetry) return;
    item.pace.reset();
    item.formTries = 0;
    if (item.uppyId === null) {
      this.set(item, "queued");
      this.startWaiting();
    } else if (item.upload !== null && isMultipart(item.upload) && item.sentBytes === item.file.size) {
      void this.completeAgain(item);
    } else {
      this.set(item, "sending");
      void this.uppy.retryUpload(item.uppyId);
    }
  }

  /** Stop and remove; what is on the server goes too. */
  async cancel(item: UploadItem): Promise<void> {
    this.items.delete(item.id);
    await this.giveUp(item);
    this.startWaiting();
  }

  /** Take a finished or cancelled item off the list. */
  dismiss(item: UploadItem): void {
    this.items.delete(item.id);
  }

  destroy(): void {
    this.uppy.destroy();
    this.items.clear();
  }

  private startWaiting(): void {
    const all = [...this.items.values()];
    let free = FILES_AT_ONCE - all.filter((item) => BUSY.has(item.state)).length;
    for (const item of all) {
      if (free <= 0) return;
      if (item.state !== "queued") continue;
      free -= 1;
      void this.begin(item);
    }
  }

  private async begin(item: UploadItem): Promise<void> {
    this.set(item, "preparing");
    try {
      const { assetId, upload } = (await this.remembered(item)) ?? (await this.announce(item));
      item.assetId = assetId;
      item.upload = upload;
      if (!this.items.has(item.id)) {
        await this.giveUp(item); // cancelled while the server answered
        return;
      }
      this.handOver(item, assetId, upload);
    } catch (error) {
      this.failed(item, error);
    }
  }

  /** The upload of an earlier visit, when the server still has it. */
  private async remembered(item: UploadItem): Promise<{ assetId: string; upload: Upload } | null> {
    const record = this.records.find(item.file);
    if (record === null) return null;
    try {
      item.knownParts = await this.api().listParts(record.assetId);
      item.sentBytes = Math.min(item.file.size, item.knownParts.length * record.upload.part_size_bytes);
      return record;
    } catch (error) {
      if (!(error instanceof ApiError) || error.retryable || error.status === 401) throw error;
      this.records.forget(item.file);
      return null;
    }
  }

  private async announce(item: UploadItem): Promise<{ assetId: string; upload: Upload }> {
    const { file } = item;
    const { asset, upload } = await this.api().createAsset({
      file_name: file.name,
      size_bytes: file.size,
      ...(mediaType(file) === "" ? {} : { content_type: mediaType(file) }),
    });
    if (isMultipart(upload)) this.records.save(file, asset.id, upload);
    item.knownParts = [];
    return { assetId: asset.id, upload };
  }

  private handOver(item: UploadItem, assetId: string, upload: Upload): void {
    const uppyId = this.uppy.addFile({
      name: item.file.name,
      type: item.file.type || "application/octet-stream",
      data: item.file,
      meta: { itemId: item.id },
    });
    item.uppyId = uppyId;
    if (isMultipart(upload)) {
      this.partSizes.set(item.file, upload.part_size_bytes);
      item.signer = new PartSigner((numbers) => this.api().signParts(assetId, numbers), upload.part_count);
      item.signer.skip((item.knownParts ?? []).map((part) => part.part_number));
      const restored = { s3Multipart: { key: upload.object_key, uploadId: upload.upload_id } };
      this.uppy.setFileState(uppyId, restored as object);
    }
    this.set(item, "sending");
    // Begins this file alone; upload() would first try all again that have failed, and those that were paused since.
    void this.uppy.retryUpload(uppyId);
  }

  /** The signed form; whoever asks a second time got an error with the first, perhaps because it had expired. */
  private async form(file: UppyFileLike) {
    const item = this.itemOf(file);
    if (item.formUsed) item.upload = await this.api().getUpload(assetIdOf(item));
    item.formUsed = true;
    const upload = this.uploadOf(file);
    if (isMultipart(upload)) throw new Error("A multipart upload has no form.");
    return { method: "POST" as const, url: upload.url, fields: { ...upload.fields } };
  }

  private started(file: UppyFileLike) {
    const upload = this.uploadOf(file);
    if (!isMultipart(upload)) throw new Error("A form upload has no parts.");
    return { key: upload.object_key, uploadId: upload.upload_id };
  }

  private async listed(file: UppyFileLike) {
    const item = this.itemOf(file);
    const parts = item.knownParts ?? (await this.api().listParts(assetIdOf(item)));
    item.knownParts = null;
    item.signer?.skip(parts.map((part) => part.part_number));
    return parts.map((part) => ({ PartNumber: part.part_number, ETag: part.etag }));
  }

  private async signed(file: UppyFileLike, partNumber: number) {
    const { signer } = this.itemOf(file);
    if (signer === null) throw new Error("This upload has no parts.");
    return { method: "PUT" as const, url: await signer.take(partNumber) };
  }

  private async complete(file: UppyFileLike, parts: { PartNumber?: number; ETag?: string }[]) {
    const item = this.itemOf(file);
    this.set(item, "finishing");
    await this.api().completeUpload(
      assetIdOf(item),
      parts.map((part) => ({ part_number: part.PartNumber ?? 0, etag: part.ETag ?? "" })),
    );
    return {};
  }

  /** All bytes are there; perhaps only the answer to completing got lost. The server takes the parts it has. */
  private async completeAgain(item: UploadItem): Promise<void> {
    this.set(item, "finishing");
    try {
      await this.api().completeUpload(assetIdOf(item), []);
      this.finished(item);
    } catch (error) {
      this.failed(item, error);
    }
  }

  private progressed(item: UploadItem, sentBytes: number): void {
    if (item.state !== "sending") return;
    // A part that is sent again after an error would let the bar jump back by what was lost; that is the truth.
    item.sentBytes = Math.min(sentBytes, item.file.size);
    item.pace.note(item.sentBytes);
    this.onChange(item);
  }

  private async arrived(item: UploadItem): Promise<void> {
    if (item.upload !== null && !isMultipart(item.upload) && item.assetId !== null) {
      // Storage tells the server by itself; saying so here too makes the asset move on at once.
      this.set(item, "finishing");
      await this.api()
        .completeUpload(item.assetId, [])
        .catch(() => undefined);
    }
    this.finished(item);
  }

  private finished(item: UploadItem): void {
    this.records.forget(item.file);
    item.sentBytes = item.file.size;
    this.set(item, "done");
    if (item.uppyId !== null && this.uppy.getFile(item.uppyId)) this.uppy.removeFile(item.uppyId);
    this.startWaiting();
  }

  private failed(item: UploadItem, error: unknown): void {
    if (!this.items.has(item.id)) return;
    if (this.willTryFormAgain(item, error)) return;
    if (isFinal(error)) {
      item.canRetry = item.uppyId !== null;
      // Trying again starts from the beginning. After a conflict the asset is in use elsewhere and stays.
      if (error instanceof ApiError && error.status === 409) this.detach(item);
      else void this.giveUp(item);
    }
    this.set(item, "failed", errorSentence(error));
    this.startWaiting();
  }

  /** Uppy tries parts again by itself, forms not. */
  private willTryFormAgain(item: UploadItem, error: unknown): boolean {
    const delayMs = RETRY_DELAYS_MS[item.formTries];
    const isPassing =
      error instanceof TransferError && (error.source.status === 0 || error.source.status >= 500);
    if (!isPassing || delayMs === undefined || item.upload === null || isMultipart(item.upload)) return false;
    const again = (): void => {
      item.waitsForConnection = false;
      if (item.state === "sending" && item.uppyId !== null) void this.uppy.retryUpload(item.uppyId);
    };
    if (navigator.onLine) {
      item.formTries += 1;
      setTimeout(again, delayMs);
    } else if (!item.waitsForConnection) {
      item.waitsForConnection = true;
      window.addEventListener("online", again, { once: true });
    }
    return true;
  }

  /** Let go of what was begun for this file, here. */
  private detach(item: UploadItem): void {
    if (item.uppyId !== null && this.uppy.getFile(item.uppyId)) this.uppy.removeFile(item.uppyId);
    this.records.forget(item.file);
    item.uppyId = item.assetId = item.upload = item.signer = item.knownParts = null;
    item.formUsed = false;
    item.sentBytes = 0;
  }

  /** Let go of it here and on the server. */
  private async giveUp(item: UploadItem): Promise<void> {
    const { assetId } = item;
    this.detach(item);
    if (assetId === null) return;
    // It may be gone by now; then there is nothing left to clean up.
    await this.api()
      .deleteAsset(assetId)
      .catch(() => undefined);
  }

  private set(item: UploadItem, state: UploadState, error: string | null = null): void {
    item.state = state;
    item.error = error;
    this.onChange(item);
  }

  private itemOf(file: UppyFileLike): UploadItem {
    const item = this.items.get((file.meta as Partial<Meta>).itemId ?? "");
    if (item === undefined) throw new Error("This upload was cancelled.");
    return item;
  }

  private uploadOf(file: UppyFileLike): Upload {
    const { upload } = this.itemOf(file);
    if (upload === null) throw new Error("This upload was cancelled.");
    return upload;
  }
}

const BUSY: ReadonlySet<UploadState> = new Set(["preparing", "sending", "finishing"]);

/** True when what is on the server cannot be brought to its end any more. */
function isFinal(error: unknown): boolean {
  if (error instanceof TransferError) return error.source.status === 404;
  return error instanceof ApiError && !error.retryable && error.status !== 401 && error.status !== 403;
}

/** What the callbacks need of Uppy's file. */
type UppyFileLike = { readonly meta: object };

/** The type a browser guessed, without parameters. */
function mediaType(file: File): string {
  return file.type.split(";", 1)[0]?.trim() ?? "";
}

function assetIdOf(item: UploadItem): string {
  if (item.assetId === null) throw new Error("This upload was cancelled.");
  return item.assetId;
}
