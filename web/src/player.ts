/** <penstock-player>: plays one playback session, encrypted DASH with ClearKey licenses or those of a DRM vendor.
 *
 * Attributes: `session` (id of the playback session), `endpoint` (default "/v1"), `label` (name of the video for screen
 * readers; the asset's title when absent). Property `token`: the session's license token. It is a property so that it
 * never stands in the page's HTML. `load()` starts; setting both before the element is in the page starts by itself.
 *
 * Events: `penstock-ready` with the player configuration, `penstock-renewed` when a heartbeat has prolonged the session,
 * with {expires_at, license_token}, `penstock-tampered` when the overlay had to be put back, `penstock-error` with
 * {message, code}. The state is also in the attribute `data-state`: idle, loading, ready, error.
 */

import type shaka from "shaka-player/dist/shaka-player.dash-es2021.js";
import { Api, ApiError, isAbort } from "./api.ts";
import { adopt, button, h, icon, setText } from "./dom.ts";
import { drmConfiguration } from "./drm.ts";
import { Heartbeats } from "./heartbeat.ts";
import type { DrmAccess, PlayerConfig } from "./model.ts";
import { Overlay } from "./overlay.ts";
import { manifestFor, renewed } from "./path-token.ts";
import { isPlayerError, isWorthRetrying, OverlayRemoved, playbackSentence } from "./player-errors.ts";
import { Prover } from "./proof.ts";
import controls from "./styles/controls.css?inline";
import styles from "./styles/player.css?inline";
import tokens from "./styles/tokens.css?inline";
import { audioChoice, type CaptionChoice, captionChoice, qualityChoice } from "./tracks.ts";

const WARNING =
  "M12 8v5m0 3.5v.01M10.3 3.9 2.4 17.5A2 2 0 0 0 4.1 20.5h15.8a2 2 0 0 0 1.7-3L13.7 3.9a2 2 0 0 0-3.4 0Z";
/** Media time is let out that much faster than it is watched (PENSTOCK_PACE_RATE). */
const FREE_RATE = 1.25;

type Shaka = typeof shaka;

export class PenstockPlayer extends HTMLElement {
  /** License token of the session; each heartbeat renews it. */
  token = "";

  readonly video = h("video", { controls: true, playsinline: true, preload: "auto", tabindex: 0 });
  private readonly stage = h("div", { class: "stage" });
  private readonly choices = h("div", { class: "choices" });
  private readonly spinner = h("div", { class: "loading", hidden: true });
  private readonly message = h("div", { class: "message", role: "alert" });
  private readonly live = h("p", { class: "visually-hidden", "aria-live": "polite" });
  private player: shaka.Player | null = null;
  private heartbeats: Heartbeats | null = null;
  /** Signs requests, for a session that is bound to this browser's key. */
  private prover: Prover | null = null;
  /** The manifest with the newest path token, once a heartbeat has brought one. */
  private tokenUrl: string | null = null;
  private drm: Readonly<Record<string, DrmAccess>> = {};
  private overlay: Overlay | null = null;
  private captions: CaptionChoice | null = null;
  /** Where the film stopped with an error, in seconds; another try goes on from there. */
  private stoppedAt: { readonly session: string; readonly time: number } | null = null;
  /** Counts the loads, so that an answer to an earlier one is not taken for this one's. */
  private turn = 0;

  constructor() {
    super();
    this.stage.append(this.video, this.message, this.spinner);
    const root = this.attachShadow({ mode: "open" });
    adopt(root, tokens, controls, styles);
    root.append(this.stage, this.choices, this.live);
    this.addEventListener("keydown", (event) => this.pressed(event));
  }

  connectedCallback(): void {
    if (this.token !== "" && this.hasAttribute("session")) void this.load();
  }

  disconnectedCallback(): void {
    this.turn += 1;
    void this.unload();
  }

  /** Claim the session and start; shows a sentence in place of the video when that cannot be. */
  async load(): Promise<void> {
    this.turn += 1;
    const turn = this.turn;
    this.showMessage(null);
    this.busy(true);
    this.dataset.state = "loading";
    setText(this.live, "Loading the film.");
    try {
      const [library, config] = await Promise.all([loadShaka(), this.claim(), this.unload()]);
      if (turn === this.turn) await this.start(library, config, turn);
    } catch (error) {
      if (turn === this.turn && !isAbort(error)) this.failed(error);
    }
  }

  /** Whether the session is bound to a key is not known before: the claim is signed in any case. */
  private async claim(): Promise<PlayerConfig> {
    const prover = await Prover.of(this.session());
    this.prover = prover;
    let config: PlayerConfig;
    try {
      config = await this.api().claimPlaybackSession(this.session());
    } catch (error) {
      const clockWasOff = error instanceof ApiError && prover?.setClock(error.serverMs);
      if (!clockWasOff) throw error;
      config = await this.api().claimPlaybackSession(this.session());
    }
    if (!config.dpop) this.prover = null;
    return config;
  }

  private api(): Api {
    return new Api(
      this.getAttribute("endpoint") ?? "/v1",
      () => `Bearer ${this.token}`,
      async (method, address, token) => (await this.prover?.proof(method, address, token)) ?? null,
    );
  }

  private session(): string {
    return this.getAttribute("session") ?? "";
  }

  private keepAlive(config: PlayerConfig, turn: number): void {
    const mine = (): boolean => turn === this.turn;
    this.heartbeats = new Heartbeats(
      this.api(),
      this.session(),
      (heartbeat) => {
        if (!mine()) return;
        this.token = heartbeat.license_token;
        this.tokenUrl = heartbeat.dash_token_url;
        this.drm = heartbeat.drm;
        this.dispatchEvent(
          new CustomEvent("penstock-renewed", { detail: heartbeat, bubbles: true, composed: true }),
        );
      },
      (error) => {
        if (mine()) this.failed(error);
      },
    );
    this.heartbeats.start(config.heartbeat_s);
  }

  private async start(library: Shaka, config: PlayerConfig, turn: number): Promise<void> {
    const manifest = manifestFor(config, location.origin);
    if (manifest === null) throw new Error("this asset has no DASH manifest");
    this.tokenUrl = null;
    this.drm = config.drm;
    const player = new library.Player();
    this.player = player;
    await player.attach(this.video);
    player.configure({
      drm: drmConfiguration(config),
      abr: { defaultBandwidthEstimate: 3_000_000 },
      streaming: {
        bufferingGoal: 30,
        rebufferingGoal: 1,
        bufferBehind: 60,
        // What it fetches ahead and a seek interrupts is never fetched again: sound, after a change of language.
        // https://github.com/shaka-project/shaka-player/issues/10569
        segmentPrefetchLimit: 0,
        // An edge that lets out media time at a pace may say 429 for some seconds; the buffer is longer than that.
        retryParameters: { maxAttempts: 8, baseDelay: 1000, backoffFactor: 1.5 },
      },
      // Who downloads without watching sends none: see docs/protection.md.
      cmcd: { enabled: true, sessionId: this.session() },
    });
    const { RequestType } = library.net.NetworkingEngine;
    player
      .getNetworkingEngine()
      ?.registerRequestFilter(async (type: number, request: shaka.extern.Request) => {
        // Cookies open manifest and segments, also when they come from another host than this page.
        request.allowCrossSiteCredentials = type === RequestType.MANIFEST || type === RequestType.SEGMENT;
        request.uris = request.uris.map((address) => renewed(address, this.tokenUrl));
        const licensor = type === RequestType.LICENSE ? this.drm[player.keySystem()] : undefined;
        if (licensor !== undefined) {
          // A DRM vendor gets its own headers, and neither our token nor a proof.
          request.uris = [licensor.license_url];
          Object.assign(request.headers, licensor.headers);
          return;
        }
        const token = type === RequestType.LICENSE ? this.token : undefined;
        if (token !== undefined) request.headers.Authorization = `Bearer ${token}`;
        const [address] = request.uris;
        if (this.prover && address?.startsWith("http")) {
          request.headers.DPoP = await this.prover.proof(request.method, address, token);
        }
      });
    player.addEventListener("error", (event) => {
      const { detail } = event as unknown as { detail: unknown };
      if (turn === this.turn) this.failed(detail);
    });
    this.video.onratechange = () => {
      // Faster than the edge lets out media time it would stand still soon; browsers offer it in their own controls.
      if (this.video.playbackRate > FREE_RATE * config.playback_rate)
        this.video.playbackRate = config.playback_rate;
    };
    this.keepAlive(config, turn);
    this.nameViewer(config.overlay);
    await player.load(manifest, this.beginning());
    if (turn !== this.turn) return;
    this.ready(player, config);
  }

  /** Where to begin: null for the film's own beginning. */
  private beginning(): number | null {
    return this.stoppedAt?.session === this.session() ? this.stoppedAt.time : null;
  }

  /** Show the viewer's name over the picture, and keep the picture where it is seen with it. */
  private nameViewer(viewer: string | null): void {
    const named = viewer !== null;
    this.video.toggleAttribute("disablepictureinpicture", named);
    this.video.toggleAttribute("disableremoteplayback", named);
    if (!named) {
      this.video.removeAttribute("controlslist");
      return;
    }
    this.video.setAttribute("controlslist", "nofullscreen noremoteplayback");
    this.overlay = new Overlay(
      this.stage,
      viewer,
      () => {
        this.heartbeats?.report();
        this.dispatchEvent(new CustomEvent("penstock-tampered", { bubbles: true, composed: true }));
      },
      () => this.failed(new OverlayRemoved()),
    );
    this.overlay.start();
  }

  private ready(player: shaka.Player, config: PlayerConfig): void {
    this.video.setAttribute("aria-label", this.getAttribute("label") ?? config.title);
    this.captions = captionChoice(player);
    const choices = [qualityChoice(player), audioChoice(player), this.captions?.element];
    this.choices.replaceChildren(...choices.filter((choice) => choice != null));
    // The video's own button would leave the overlay behind.
    if (this.overlay !== null) this.choices.append(button("Full screen", () => this.toggleFullscreen()));
    this.stoppedAt = null;
    this.dataset.state = "ready";
    this.busy(false);
    setText(this.live, "The film is ready.");
    this.dispatchEvent(new CustomEvent("penstock-ready", { detail: config, bubbles: true, composed: true }));
    // Browsers may demand a click first; then the controls are there for it.
    this.video.play().catch(() => undefined);
  }

  private failed(error: unknown): void {
    if (isPlayerError(error) && "severity" in error && error.severity === 1) return; // Shaka goes on by itself
    this.turn += 1;
    if (this.video.currentTime > 0) {
      this.stoppedAt = { session: this.session(), time: this.video.currentTime };
    }
    void this.unload();
    this.dataset.state = "error";
    this.busy(false);
    this.choices.replaceChildren();
    const message = playbackSentence(error);
    this.showMessage(message, isWorthRetrying(error));
    const code = isPlayerError(error) ? error.code : null;
    this.dispatchEvent(
      new CustomEvent("penstock-error", { detail: { message, code }, bubbles: true, composed: true }),
    );
  }

  private showMessage(text: string | null, canRetry = false): void {
    this.video.hidden = text !== null;
    this.message.hidden = text === null;
    this.message.replaceChildren();
    if (text === null) return;
    setText(this.live, "");
    this.message.append(icon(WARNING), h("p", {}, text));
    if (canRetry) this.message.append(button("Try again", () => void this.load()));
  }

  /** Before there is a film; while one waits for data, the browser's own controls show it. */
  private busy(is: boolean): void {
    this.spinner.hidden = !is;
  }

  private async unload(): Promise<void> {
    const { player, heartbeats } = this;
    this.player = null;
    this.heartbeats = null;
    heartbeats?.stop(true);
    this.overlay?.stop();
    this.overlay = null;
    this.captions = null;
    await player?.destroy();
  }

  /** Letter keys as video sites have them; space and arrows are the browser's own on a focused video. */
  private pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || this.dataset.state !== "ready") return;
    if (event.composedPath()[0] instanceof HTMLSelectElement) return;
    const action = this.actionOf(event.key.toLowerCase());
    if (action === null) return;
    event.preventDefault();
    action();
  }

  private actionOf(key: string): (() => unknown) | null {
    const { video } = this;
    switch (key) {
      case "k":
        return () => (video.paused ? video.play().catch(() => undefined) : video.pause());
      case "j":
        return () => this.seek(-10);
      case "l":
        return () => this.seek(10);
      case "m":
        return () => this.toggleSound();
      case "c":
        return this.captions?.toggle ?? null;
      case "f":
        return () => this.toggleFullscreen();
      default:
        return null;
    }
  }

  private seek(seconds: number): void {
    this.video.currentTime += seconds;
  }

  private toggleSound(): void {
    this.video.muted = !this.video.muted;
  }

  private toggleFullscreen(): void {
    const shown = this.overlay === null ? this.video : this.stage;
    const change = document.fullscreenElement ? document.exitFullscreen() : shown.requestFullscreen();
    change.catch(() => undefined); // some embeddings forbid it
  }
}

/** The library is half a megabyte: fetched while the session is being claimed. */
async function loadShaka(): Promise<Shaka> {
  const module = await import("shaka-player/dist/shaka-player.dash-es2021.js");
  const library = module.default;
  library.polyfill.installAll();
  // Without Media Source Extensions Shaka would hand the MPD to the video element, which cannot read it.
  const hasMediaSource = "MediaSource" in window || "ManagedMediaSource" in window;
  if (!hasMediaSource || !library.Player.isBrowserSupported()) {
    throw { category: 4, code: 4032, data: [] };
  }
  return library;
}

customElements.define("penstock-player", PenstockPlayer);

declare global {
  interface HTMLElementTagNameMap {
    "penstock-player": PenstockPlayer;
  }
}
