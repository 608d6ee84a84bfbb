/** One asset in the list: poster, state, and what can be done with it. */

import { type Api, ApiError, errorSentence, isAbort } from "./api.ts";
import { confirmDeletion, showLink } from "./dialogs.ts";
import { button, h, icon, setText } from "./dom.ts";
import { duration, jobLabel, moment, stateLabel } from "./format.ts";
import type { Asset } from "./model.ts";

const FILM = "M4 5h16v14H4zM8 5v14M16 5v14M4 9.7h4M4 14.3h4M16 9.7h4M16 14.3h4";
const BIN = "M4 7h16M9 7V4h6v3m-8.5 0 1 13h9l1-13M10 11v5m4-5v5";
const VIEWER = "studio";
const COPY = "Copy link";
const COPIED = "Copied";
const COPIED_MS = 2000;

interface Callbacks {
  /** Told what is not of this row alone: that the API key is not known any more. */
  readonly onError: (error: ApiError) => void;
  readonly onDeleted: (assetId: string) => void;
}

export class AssetRow {
  readonly element = h("li", { class: "asset" });
  private readonly picture = h("div", { class: "poster" }, icon(FILM));
  private readonly length = h("span", { class: "length", hidden: true });
  private readonly title = h("h2");
  private readonly state = h("span", { class: "state" });
  private readonly when = h("span");
  private readonly problem = h("p", { class: "problem", hidden: true });
  private readonly jobs = h("ul", { class: "jobs", hidden: true });
  private readonly bar = h("progress", { max: 100, hidden: true });
  private readonly watch: HTMLButtonElement;
  private readonly copy: HTMLButtonElement;
  private readonly remove: HTMLButtonElement;
  private readonly gone = new AbortController();
  private posterUrl: string | null = null;
  private posterAsked = false;

  constructor(
    public asset: Asset,
    private readonly api: Api,
    private readonly callbacks: Callbacks,
  ) {
    this.watch = button("Watch", () => void this.guarded(() => this.openWatchPage()), { kind: "primary" });
    this.copy = button(COPY, () => void this.guarded(() => this.copyLink()));
    this.remove = button("", () => void this.guarded(() => this.delete()), { kind: "quiet remove" });
    this.remove.append(icon(BIN), h("span", {}, "Delete"));
    this.picture.append(this.length);
    const text = h(
      "div",
      { class: "text" },
      this.title,
      h(
        "p",
        { class: "meta" },
        this.state,
        h("span", { class: "dot", "aria-hidden": "true" }, " · "),
        this.when,
      ),
    );
    const detail = h("div", { class: "detail" }, this.problem, this.jobs, this.bar);
    const actions = h("div", { class: "actions" }, this.watch, this.copy);
    this.element.append(this.picture, text, detail, actions, this.remove);
    this.update(asset);
  }

  update(asset: Asset): void {
    this.asset = asset;
    const { title, state } = asset;
    this.element.className = `asset ${state}`;
    setText(this.title, title);
    this.title.title = title;
    setText(this.state, stateLabel(asset));
    setText(this.when, moment(asset.created_at));
    this.problem.hidden = state !== "failed";
    setText(this.problem, asset.error?.message ?? "");
    this.showJobs();
    this.showProgress();
    this.length.hidden = asset.duration_s == null;
    if (asset.duration_s != null) setText(this.length, duration(asset.duration_s));
    this.watch.hidden = this.copy.hidden = state !== "published";
    this.watch.setAttribute("aria-label", `Watch ${title}`);
    this.nameCopy(this.copy.textContent ?? COPY);
    this.remove.setAttribute("aria-label", `Delete ${title}`);
    if (state === "published") void this.showPoster();
  }

  dispose(): void {
    this.gone.abort();
    if (this.posterUrl !== null) URL.revokeObjectURL(this.posterUrl);
    this.posterUrl = null;
  }

  /** What became of each job settings file, where there are several; one that failed leaves the others to watch. */
  private showJobs(): void {
    const { jobs = [], error } = this.asset;
    this.jobs.hidden = jobs.length < 2;
    for (const [position, job] of jobs.entries()) {
      const line = this.jobs.children[position] ?? this.jobs.appendChild(h("li"));
      const reason = job.error && job.error.message !== error?.message ? job.error.message : "";
      line.className = job.state;
      setText(line, [job.settings, jobLabel(job), reason].filter((part) => part !== "").join(" · "));
    }
    while (this.jobs.children.length > jobs.length) this.jobs.lastElementChild?.remove();
  }

  private showProgress(): void {
    const { state, percent, title } = this.asset;
    this.bar.hidden = state !== "converting" && state !== "packaging";
    this.bar.setAttribute("aria-label", `Conversion of ${title}`);
    if (percent != null) this.bar.value = percent;
    else this.bar.removeAttribute("value");
  }

  /** Fetched rather than linked, because the API wants its key in a header. */
  private async showPoster(): Promise<void> {
    if (this.posterAsked || this.asset.has_poster === false) return;
    this.posterAsked = true;
    try {
      const blob = await this.api.poster(this.asset.id, this.gone.signal);
      if (blob === null || this.gone.signal.aborted) return;
      this.posterUrl = URL.createObjectURL(blob);
      this.picture.prepend(h("img", { src: this.posterUrl, alt: "" }));
    } catch (error) {
      if (!isAbort(error)) this.posterAsked = false; // asked for again with the next change
    }
  }

  private async openWatchPage(): Promise<void> {
    const session = await this.api.createPlaybackSession(this.asset.id, VIEWER);
    const page = window.open(session.watch_url, "_blank");
    if (page === null)
      showLink(this.asset.title, session.watch_url); // the browser blocks new windows
    else page.opener = null;
  }

  private async copyLink(): Promise<void> {
    const session = await this.api.createPlaybackSession(this.asset.id, VIEWER);
    try {
      await navigator.clipboard.writeText(session.watch_url);
    } catch {
      showLink(this.asset.title, session.watch_url); // no permission, or a page without https
      return;
    }
    this.nameCopy(COPIED);
    setTimeout(() => this.nameCopy(COPY), COPIED_MS);
  }

  private nameCopy(text: string): void {
    setText(this.copy, text);
    const { title } = this.asset;
    this.copy.setAttribute(
      "aria-label",
      text === COPIED ? `Copied the link of ${title}` : `Copy link of ${title}`,
    );
  }

  private async delete(): Promise<void> {
    if (!(await confirmDeletion(this.asset.title))) return;
    await this.api.deleteAsset(this.asset.id);
    this.callbacks.onDeleted(this.asset.id);
  }

  /** Run an action once at a time; its error is shown in the row. */
  private async guarded(action: () => Promise<void>): Promise<void> {
    if (this.element.ariaBusy === "true") return;
    this.element.ariaBusy = "true";
    try {
      await action();
    } catch (error) {
      this.problem.hidden = false;
      setText(this.problem, errorSentence(error));
      if (error instanceof ApiError && error.status === 401) this.callbacks.onError(error);
    } finally {
      this.element.ariaBusy = null;
    }
  }
}
