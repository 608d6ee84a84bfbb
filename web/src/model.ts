/** What the HTTP API answers with. Member names are the API's own; times are ISO 8601, sizes bytes, lengths seconds. */

export type AssetState = "waiting" | "converting" | "packaging" | "published" | "failed";

export interface Asset {
  readonly id: string;
  readonly title: string;
  readonly state: AssetState;
  readonly created_at: string;
  readonly error?: Problem | null;
  readonly duration_s?: number | null;
  /** 0 to 100 while converting. */
  readonly percent?: number | null;
  readonly has_poster?: boolean;
  /** One for each job settings file, or one of the built-in ladder. */
  readonly jobs?: readonly Job[];
}

export interface Job {
  /** Name of its job settings; "default" for the built-in ladder. */
  readonly settings: string;
  readonly state: string;
  readonly percent?: number | null;
  readonly error?: Problem | null;
}

export interface Problem {
  readonly code: string;
  readonly message: string;
}

export interface AssetPage {
  readonly assets: readonly Asset[];
  /** Give it to the next request; null on the last page. */
  readonly next: string | null;
}

export interface PostUpload {
  readonly method: "post";
  readonly url: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly expires_at: string;
}

export interface MultipartUpload {
  readonly method: "multipart";
  readonly upload_id: string;
  readonly object_key: string;
  readonly part_size_bytes: number;
  readonly part_count: number;
}

export type Upload = PostUpload | MultipartUpload;

export interface NewAsset {
  readonly title?: string;
  readonly file_name: string;
  readonly size_bytes: number;
  readonly content_type?: string;
}

export interface Part {
  readonly part_number: number;
  readonly etag: string;
}

export interface PlaybackSession {
  readonly id: string;
  readonly watch_url: string;
  readonly expires_at: string;
}

/** How to get licenses of one DRM system of a vendor; headers are secrets of the viewer. */
export interface DrmAccess {
  readonly license_url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly certificate_url: string | null;
}

/** What claiming a playback session gives a player. */
export interface PlayerConfig {
  readonly dash_url: string | null;
  readonly hls_url: string | null;
  /** With a token in the path, for pages of other sites, where browsers keep no cookies of ours. */
  readonly dash_token_url: string | null;
  readonly hls_token_url: string | null;
  /** Of ClearKey licenses; null where a DRM vendor gives them. */
  readonly license_url: string | null;
  /** By the name that Encrypted Media Extensions have for the DRM system. */
  readonly drm: Readonly<Record<string, DrmAccess>>;
  readonly title: string;
  readonly expires_at: string;
  readonly heartbeat_s: number;
  /** The fastest that the session may play. */
  readonly playback_rate: number;
  /** Every request has to be signed (see proof.ts). */
  readonly dpop: boolean;
  /** Text to show over the picture. */
  readonly overlay: string | null;
}

/** The session as it lives on: the token takes the place of the one before. */
export interface Heartbeat {
  readonly expires_at: string;
  readonly license_token: string;
  readonly dash_token_url: string | null;
  readonly drm: Readonly<Record<string, DrmAccess>>;
  readonly heartbeat_s: number;
}

/** A playback session as lists have it. */
export interface SessionSummary {
  readonly id: string;
  readonly viewer: string;
  readonly state: string;
  readonly created_at: string;
  /** How much it looks like a download, 0 to 100. */
  readonly score: number;
  readonly signals: readonly { readonly sentence: string }[];
}

export interface Webhook {
  readonly id: string;
  readonly url: string;
  readonly enabled: boolean;
}

export interface Delivery {
  readonly id: number;
  readonly type: string;
  readonly state: string;
  readonly attempts: number;
  readonly created_at: string;
  readonly last_error: string | null;
}
