/** <penstock-uploader>: choose or drop films, see them go up, pause, go on after a reload.
 *
 * Attribute `endpoint` (default "/v1") is where the upload routes are; property `authorization` gives the Authorization
 * header for them. An application that keeps its API key to itself sets `api` to an object that asks its own back-end.
 *
 * Events, all bubbling and composed: `penstock-upload-start`, `penstock-upload-end` with {assetId, fileName} and
 * `penstock-upload-error` with {fileName, message}; `penstock-upload-change` with
 * {assetId} when an upload was taken off the list.
 */

import { Api, ApiError, type Authorization, isMultipart, type UploadApi } from "./api.ts";
import { adopt, button, h, icon, setText } from "./dom.ts";
import { bytes, timeLeft } from "./format.ts";
import controls from "./styles/controls.css?inline";
import tokens from "./styles/tokens.css?inline";
import styles from "./styles/uploader.css?inline";
import type { UploadItem } from "./upload/item.ts";
import { UploadQueue } from "./upload/queue.ts";
import { asFile, fingerprint, type UploadRecord, UploadRecords } from "./upload/resume.ts";

const ADD = "Add films";
const UP_ARROW = "M12 19V5m-6 6 6-6 6 6";
const ACCEPT = "video/*,.mkv,.mov,.webm,.ts,.m2ts,.mts";
const GONE_AFTER_MS = 4000;
/** What is said of the speed is looked at so often, because a connection that is lost tells nothing. */
const LOOK_MS = 2000;

export class PenstockUploader extends HTMLElement {
  authorization: Authorization = () => "";
  /** Takes the place of the routes below `endpoint`. */
  api: UploadApi | null = null;

  private readonly records = new UploadRecords(safeLocalStorage());
  private readonly queue = new UploadQueue(
    () => this.api ?? this.ownApi(),
    this.records,
    (item) => this.changed(item),
  );
  private readonly rows = new Map<string, Row>();
  /** Assets of earlier visits that the server is being asked about. */
  private readonly lookingFor = new Set<string>();
  private readonly list = h("ul", { "aria-label": "Uploads" });
  private readonly live = h("p", { class: "visually-hidden", "aria-live": "polite" });
  private readonly note = h("p", { class: "note", role: "alert" });
  private readonly input = h("input", {
    type: "file",
    multiple: true,
    accept: ACCEPT,
    hidden: true,
    tabindex: -1,
  });
  private readonly zone: HTMLElement;
  private readonly call = h("strong", {}, ADD);
  /** Around the whole window while a file is over it, because the zone may be scrolled away. */
  private readonly frame = h("div", { class: "frame", hidden: true, "aria-hidden": "true" });
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly onPageDrag = (event: DragEvent) => this.dragged(event);
  private readonly onLeave = (event: BeforeUnloadEvent) => {
    if (this.active) event.preventDefault();
  };
  private readonly onConnection = () => this.showSpeeds();

  constructor() {
    super();
    const choose = button("Choose files", () => this.input.click(), { kind: "primary" });
    choose.prepend(icon(UP_ARROW));
    this.zone = h(
      "div",
      { class: "drop" },
      h(
        "div",
        {},
        h("p", {}, this.call, h("span", { class: "fine" }, " by dropping them anywhere on this page")),
        h("p", { class: "hint" }, "MP4, MOV, MKV, WebM or MPEG-TS. Uploads can be paused."),
      ),
      choose,
    );
    this.input.addEventListener("change", () => {
      this.addFiles(this.input.files ?? []);
      this.input.value = "";
    });
    const root = this.attachShadow({ mode: "open", delegatesFocus: true });
    adopt(root, tokens, controls, styles);
    root.append(this.zone, this.input, this.note, this.list, this.live, this.frame);
  }

  connectedCallback(): void {
    for (const type of DRAG_EVENTS) document.addEventListener(type, this.onPageDrag);
    window.addEventListener("beforeunload", this.onLeave);
    for (const type of CONNECTION_EVENTS) window.addEventListener(type, this.onConnection);
    this.timer = setInterval(this.onConnection, LOOK_MS);
    // A page that uses the element in its HTML sets `authorization` or `api` just after this.
    setTimeout(() => void this.showUnfinished(), 0);
  }

  disconnectedCallback(): void {
    for (const type of DRAG_EVENTS) document.removeEventListener(type, this.onPageDrag);
    window.removeEventListener("beforeunload", this.onLeave);
    for (const type of CONNECTION_EVENTS) window.removeEventListener(type, this.onConnection);
    clearInterval(this.timer);
  }

  /** Stop for good, before the element is thrown away; a large upload can go on at a later visit. */
  stop(): void {
    this.queue.destroy();
  }

  /** True while leaving the page would stop an upload. */
  get active(): boolean {
    return [...this.queue.items.values()].some((item) => !["done", "failed"].includes(item.state));
  }

  /** Ids of the assets whose upload this element shows. */
  get assetIds(): ReadonlySet<string> {
    const shown = [...this.rows.values()].map((row) => row.assetId);
    return new Set([...shown, ...this.lookingFor].filter((id) => id !== null));
  }

  addFiles(files: Iterable<File>): void {
    for (const file of files) this.changed(this.queue.add(file));
  }

  private ownApi(): Api {
    return new Api(this.getAttribute("endpoint") ?? "/v1", this.authorization);
  }

  /** Offer to go on with what an earlier visit left behind, where the server still has its parts. */
  private async showUnfinished(): Promise<void> {
    const records = this.records.all().slice(-5);
    for (const { assetId } of records) this.lookingFor.add(assetId);
    for (const record of records) {
      await this.showIfUnfinished(record);
      this.lookingFor.delete(record.assetId);
      this.tell("penstock-upload-change", { assetId: record.assetId });
    }
  }

  private async showIfUnfinished(record: UploadRecord): Promise<void> {
    const file = asFile(record);
    const id = fingerprint(file);
    try {
      const parts = await (this.api ?? this.ownApi()).listParts(record.assetId);
      if (!this.rows.has(id)) this.offer(id, record, parts.length * record.upload.part_size_bytes);
    } catch (error) {
      if (error instanceof ApiError && !error.retryable && error.status !== 401) this.records.forget(file);
    }
  }

  private offer(id: string, record: UploadRecord, sentBytes: number): void {
    const row = new Row(record.fileName, record.assetId);
    const percent = Math.min(99, Math.floor((sentBytes * 100) / record.sizeBytes));
    row.show(
      "paused",
      `Stopped at ${percent} % of ${bytes(record.sizeBytes)}. Choose this file again to go on.`,
      percent,
    );
    row.actions.replaceChildren(
      button("Choose file", () => this.input.click(), { label: `Choose ${record.fileName} again` }),
      button("Discard", () => void this.discard(id, record), {
        kind: "quiet",
        label: `Discard ${record.fileName}`,
      }),
    );
    this.rows.set(id, row);
    this.list.append(row.element);
  }

  private async discard(id: string, record: UploadRecord): Promise<void> {
    const api = this.api ?? this.ownApi();
    this.removeRow(id);
    this.records.forget(asFile(record));
    await api.deleteAsset(record.assetId).catch(() => undefined);
    this.tell("penstock-upload-change", { assetId: record.assetId });
  }

  private changed(item: UploadItem): void {
    let row = this.rows.get(item.id);
    if (row === undefined) {
      row = new Row(item.file.name, null);
      this.rows.set(item.id, row);
      this.list.append(row.element);
    }
    const before = row.state;
    row.assetId = item.assetId ?? row.assetId;
    row.show(item.state, statusText(item), (item.sentBytes * 100) / Math.max(1, item.file.size));
    if (before === item.state) return;
    this.setActions(row, item);
    this.announce(item);
  }

  /** Say anew of each file on its way how fast it is, or that it waits for the connection. */
  private showSpeeds(): void {
    for (const item of this.queue.items.values()) {
      if (item.state === "sending") this.rows.get(item.id)?.tell(statusText(item));
    }
  }

  private setActions(row: Row, item: UploadItem): void {
    const name = item.file.name;
    const actions: HTMLButtonElement[] = [];
    if (item.state === "sending" || item.state === "queued") {
      actions.push(button("Pause", () => this.queue.pause(item), { label: `Pause ${name}` }));
    }
    if (item.state === "paused") {
      actions.push(button("Resume", () => this.queue.resume(item), { label: `Resume ${name}` }));
    }
    if (item.state === "failed" && item.canRetry) {
      actions.push(button("Try again", () => this.queue.retry(item), { label: `Try ${name} again` }));
    }
    if (item.state === "failed" && !item.canRetry) {
      actions.push(button("Dismiss", () => this.dismiss(item), { kind: "quiet", label: `Dismiss ${name}` }));
    } else if (item.state !== "done" && item.state !== "finishing") {
      actions.push(
        button("Cancel", () => void this.cancel(item), { kind: "quiet", label: `Cancel ${name}` }),
      );
    }
    row.setActions(actions);
  }

  private announce(item: UploadItem): void {
    const detail = { assetId: item.assetId, fileName: item.file.name };
    if (item.state === "sending") this.tell("penstock-upload-start", detail);
    if (item.state === "done") {
      setText(this.live, `${item.file.name} is uploaded.`);
      this.tell("penstock-upload-end", detail);
      setTimeout(() => this.dismiss(item), GONE_AFTER_MS);
    }
    if (item.state === "failed") {
      setText(this.live, `${item.file.name}: ${item.error}`);
      this.tell("penstock-upload-error", { ...detail, message: item.error });
    }
  }

  private async cancel(item: UploadItem): Promise<void> {
    const { assetId } = item;
    this.removeRow(item.id);
    setText(this.live, `${item.file.name} was cancelled.`);
    await this.queue.cancel(item);
    this.tell("penstock-upload-change", { assetId });
  }

  private dismiss(item: UploadItem): void {
    if (this.queue.items.get(item.id) !== item) return;
    this.queue.dismiss(item);
    this.removeRow(item.id);
    this.tell("penstock-upload-change", { assetId: item.assetId });
  }

  /** Take a row away without losing the keyboard's place. */
  private removeRow(id: string): void {
    const row = this.rows.get(id);
    const hadFocus = row?.element.contains(this.shadowRoot?.activeElement ?? null);
    row?.remove();
    this.rows.delete(id);
    if (hadFocus) this.zone.querySelector("button")?.focus();
  }

  private dragged(event: DragEvent): void {
    const transfer = event.dataTransfer;
    if (!transfer?.types.includes("Files")) return;
    event.preventDefault();
    // From one element to the next; only without the next one did it leave the window.
    if (event.type === "dragleave" && event.relatedTarget !== null) return;
    const isOver = event.type === "dragover";
    this.frame.hidden = !isOver;
    this.zone.classList.toggle("over", isOver);
    setText(this.call, isOver ? "Drop to add films" : ADD);
    if (event.type !== "drop") return;
    const items = [...transfer.items].filter((item) => item.kind === "file");
    const folders = items.filter((item) => item.webkitGetAsEntry()?.isDirectory);
    setText(
      this.note,
      folders.length > 0 ? "Folders cannot be uploaded; drop the films that are in them." : "",
    );
    this.addFiles(
      items
        .filter((item) => !folders.includes(item))
        .map((item) => item.getAsFile())
        .filter((file) => file !== null),
    );
  }

  private tell(type: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }
}

const CONNECTION_EVENTS = ["online", "offline"] as const;
const DRAG_EVENTS = ["dragover", "dragleave", "drop"] as const;

/** One line of the list. */
class Row {
  readonly element = h("li");
  readonly actions = h("div", { class: "actions" });
  state = "";
  private readonly status = h("span", { class: "status" });
  private readonly bar: HTMLProgressElement;

  constructor(
    name: string,
    public assetId: string | null,
  ) {
    this.bar = h("progress", { max: 100, value: 0, "aria-label": `Upload of ${name}` });
    const text = h("div", {}, h("span", { class: "name", title: name }, name), this.status);
    this.element.append(text, this.actions, this.bar);
  }

  show(state: string, status: string, percent: number): void {
    if (state !== this.state) this.element.className = state;
    this.state = state;
    this.tell(status);
    this.bar.value = percent;
    this.bar.hidden = state === "failed";
  }

  tell(status: string): void {
    setText(this.status, status);
  }

  /** Put other buttons in place; the keyboard stays on the first when it was on one of them. */
  setActions(actions: HTMLButtonElement[]): void {
    const focused = (this.actions.getRootNode() as ShadowRoot).activeElement;
    const hadFocus = focused !== null && this.actions.contains(focused);
    this.actions.replaceChildren(...actions);
    if (hadFocus) actions[0]?.focus();
  }

  remove(): void {
    this.element.remove();
  }
}

function statusText(item: UploadItem): string {
  const size = bytes(item.file.size);
  switch (item.state) {
    case "queued":
      return `${size}, waiting for its turn`;
    case "preparing":
      return `${size}, starting`;
    case "paused":
      return item.upload !== null && !isMultipart(item.upload)
        ? `Paused; starts again from the beginning (${size})`
        : `Paused at ${bytes(item.sentBytes)} of ${size}`;
    case "finishing":
      return `${size} sent, finishing`;
    case "done":
      return `${size} uploaded`;
    case "failed":
      return item.error ?? "The upload failed.";
    case "sending":
      return sendingText(item, size);
  }
}

function sendingText(item: UploadItem, size: string): string {
  const rate = item.pace.bytesPerSecond;
  const parts = [`${bytes(item.sentBytes)} of ${size}`];
  const isSent = item.sentBytes >= item.file.size;
  if (!isSent && (!navigator.onLine || item.pace.stalled)) parts.push("waiting for the connection");
  else if (rate !== null && rate > 0) {
    parts.push(`${bytes(Math.round(rate))}/s`, timeLeft((item.file.size - item.sentBytes) / rate));
  } else if (item.formTries > 0) parts.push("trying again");
  return parts.filter((part) => part !== "").join(" · ");
}

/** Browsers that forbid storage throw already at the property. */
function safeLocalStorage(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

customElements.define("penstock-uploader", PenstockUploader);

declare global {
  interface HTMLElementTagNameMap {
    "penstock-uploader": PenstockUploader;
  }
}
