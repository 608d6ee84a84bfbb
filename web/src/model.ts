/** What the HTTP API answers with. Member names are the API's own; times are ISO 8601, sizes bytes, lengths seconds. */

export type AssetState = "waiting" | "converting" | "packaging" | "published" | "failed";

export interface Asset {
  readonly id: string;
  readonly title: string;
  readonly state: AssetState;
  readonly created_at: string;
  readonly error?: { readonly code: string; readonly message: string } | null;
  readonly duration_s?: number | null;
  /** 0 to 100 while converting. */
  readonly percent?: number | null;
  readonly has_poster?: boolean;
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

/** What claiming a playback session gives a player. */
export interface PlayerConfig {
  readonly dash_url: string | null;
  readonly hls_url: string | null;
  /** With a token in the path, for pages of other sites, where browsers keep no cookies of ours. */
  readonly dash_token_url: string | null;
  readonly hls_token_url: string | null;
  readonly license_url: string;
  readonly title: string;
  readonly expires_at: string;
  readonly heartbeat_s: number;
}

/** The session as it lives on: the token takes the place of the one before. */
export interface Heartbeat {
  readonly expires_at: string;
  readonly license_token: string;
  readonly dash_token_url: string | null;
  readonly heartbeat_s: number;
}
