/** The list of assets with live progress: pages from the API, changes by server-sent events. */

import { type Api, isAbort } from "./api.ts";
import { AssetRow } from "./asset-row.ts";
import { button, h, setText } from "./dom.ts";
import { followAssets } from "./events.ts";
import type { Asset } from "./model.ts";

const PAGE_SIZE = 50;
/** While the server does not answer or the stream of events is lost, the list is read anew this often. */
const POLL_MS = 4000;

interface Surroundings {
  /** Assets that are shown elsewhere, while their upload goes on. */
  readonly hidden: () => ReadonlySet<string>;
  /** Told every error, and null when the server answers again. */
  readonly onError: (error: unknown) => void;
}

export class Shelf {
  readonly element = h("section", { "aria-labelledby": "films" });
  private readonly list = h("ul", { class: "shelf" });
  private readonly empty = h(
    "p",
    { class: "empty", hidden: true },
    "No films yet. Add the first one above, or with ",
    h("code", {}, "penstock upload FILE"),
    ".",
  );
  private readonly count = h("span", { class: "count" });
  private readonly more = h("div", { class: "more", hidden: true });
  private readonly live = h("p", { class: "visually-hidden", "aria-live": "polite" });
  private readonly rows = new Map<string, AssetRow>();
  private readonly ended = new AbortController();
  private pages = 1;
  private following = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private refreshing: Promise<void> | null = null;
  private stale = false;

  constructor(
    private readonly api: Api,
    private readonly around: Surroundings,
  ) {
    this.more.append(button("Show more", () => void this.showMore()));
    const head = h("div", { class: "shelf-head" }, h("h1", { id: "films" }, "Films"), this.count);
    this.element.append(head, this.list, this.empty, this.more, this.live);
  }

  start(): void {
    void this.refresh();
    void this.follow();
  }

  stop(): void {
    this.ended.abort();
    clearTimeout(this.timer);
    for (const row of this.rows.values()) row.dispose();
  }

  /** Read the list anew; one at a time, and once more when somebody asked meanwhile. */
  refresh(): Promise<void> {
    this.stale = true;
    this.refreshing ??= this.catchUp().finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  /** Another page; after the last one the button is gone, and the keyboard goes on with the first film that came. */
  private async showMore(): Promise<void> {
    const shown = this.list.children.length;
    this.pages += 1;
    await this.refresh();
    if (this.more.hidden) firstButton(this.list.children[shown])?.focus();
  }

  private async catchUp(): Promise<void> {
    clearTimeout(this.timer);
    let failed = false;
    while (this.stale && !this.ended.signal.aborted) {
      this.stale = false;
      try {
        await this.read();
        failed = false;
        this.around.onError(null);
      } catch (error) {
        if (isAbort(error)) return;
        failed = true;
        this.around.onError(error);
      }
    }
    if ((failed || !this.following) && !this.ended.signal.aborted) {
      this.timer = setTimeout(() => void this.refresh(), POLL_MS);
    }
  }

  private async read(): Promise<void> {
    const assets: Asset[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < this.pages; page += 1) {
      const answer = await this.api.listAssets(PAGE_SIZE, cursor, this.ended.signal);
      assets.push(...answer.assets);
      cursor = answer.next;
      if (cursor === null) break;
    }
    this.more.hidden = cursor === null;
    this.show(assets, cursor !== null);
  }

  private show(assets: readonly Asset[], isMore: boolean): void {
    const hidden = this.around.hidden();
    const shown = assets.filter((asset) => !(asset.state === "waiting" && hidden.has(asset.id)));
    const ids = new Set(shown.map((asset) => asset.id));
    for (const id of [...this.rows.keys()]) if (!ids.has(id)) this.drop(id);
    for (const [position, asset] of shown.entries()) {
      const { element } = this.update(asset);
      const there = this.list.children[position] ?? null;
      if (there !== element) this.list.insertBefore(element, there);
    }
    this.empty.hidden = shown.length > 0;
    setText(this.count, shown.length === 0 ? "" : `${shown.length}${isMore ? "+" : ""}`);
  }

  private update(asset: Asset): AssetRow {
    let row = this.rows.get(asset.id);
    if (row === undefined) {
      row = new AssetRow(asset, this.api, {
        onError: this.around.onError,
        onDeleted: (id) => this.deleted(id),
      });
      this.rows.set(asset.id, row);
      return row;
    }
    const before = row.asset.state;
    row.update(asset);
    if (before !== asset.state) this.announce(asset);
    return row;
  }

  private announce(asset: Asset): void {
    if (asset.state === "published") setText(this.live, `${asset.title} is ready to watch.`);
    if (asset.state === "failed") setText(this.live, `${asset.title} failed. ${asset.error?.message ?? ""}`);
  }

  private drop(id: string): void {
    this.rows.get(id)?.dispose();
    this.rows.get(id)?.element.remove();
    this.rows.delete(id);
  }

  /** A film was deleted here: say so, and keep the keyboard near the place. */
  private deleted(id: string): void {
    const row = this.rows.get(id);
    const neighbour = row?.element.nextElementSibling ?? row?.element.previousElementSibling;
    setText(this.live, `${row?.asset.title ?? "The film"} is deleted.`);
    this.drop(id);
    (firstButton(neighbour) ?? document.getElementById("main"))?.focus();
    void this.refresh();
  }

  private async follow(): Promise<void> {
    try {
      await followAssets(
        this.api,
        {
          onOpen: () => {
            this.following = true;
            void this.refresh();
          },
          onLost: () => {
            this.following = false;
            void this.refresh();
          },
          onAsset: (asset) => {
            if (this.rows.has(asset.id)) this.update(asset);
            else if (!this.around.hidden().has(asset.id) || asset.state !== "waiting") void this.refresh();
          },
          onDeleted: (id) => {
            if (this.rows.has(id)) void this.refresh();
          },
        },
        this.ended.signal,
      );
    } catch (error) {
      this.around.onError(error);
    }
  }
}

function firstButton(row: Element | null | undefined): HTMLElement | null {
  return row?.querySelector<HTMLElement>("button:not([hidden])") ?? null;
}
