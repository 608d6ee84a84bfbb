/** Lets the viewer choose quality, language and captions, where there is a choice. */

import type shaka from "shaka-player/dist/shaka-player.dash-es2021.js";
import { h } from "./dom.ts";

const AUTO = "auto";
/** No track has this id: captions are off. */
const NONE = -1;

/** A list of picture heights with "Auto" first, or null when there is one quality only. */
export function qualityChoice(player: shaka.Player): HTMLElement | null {
  const heights = distinct(player.getVariantTracks().map((track) => track.height ?? 0)).filter(
    (height) => height > 0,
  );
  if (heights.length < 2) return null;
  heights.sort((a, b) => b - a);
  const options = [option(AUTO, "Auto"), ...heights.map((height) => option(String(height), `${height}p`))];
  return labelled("Quality", options, (value) => {
    player.configure({ abr: { enabled: value === AUTO } });
    if (value === AUTO) return;
    const playing = player.getVariantTracks().find((track) => track.active);
    const fitting = player.getVariantTracks().filter((track) => String(track.height) === value);
    const best = fitting.find((track) => track.language === playing?.language) ?? fitting[0];
    if (best) player.selectVariantTrack(best, true, 2);
  });
}

/** A list of sounds by their names, or null when there is one only. */
export function audioChoice(player: shaka.Player): HTMLElement | null {
  // The same sound in other codecs or channels has the same name; the player picks among those.
  const tracks = new Map<string, shaka.extern.AudioTrack>();
  for (const track of player.getAudioTracks()) {
    const name = trackName(track);
    if (!tracks.has(name) || track.active) tracks.set(name, track);
  }
  if (tracks.size < 2) return null;
  const options = [...tracks].map(([name, track]) => option(name, name, track.active));
  return labelled("Language", options, (value) => {
    const track = tracks.get(value);
    if (track) player.selectAudioTrack(track);
  });
}

export interface CaptionChoice {
  readonly element: HTMLElement;
  /** Captions off, or on again with what was shown last. */
  readonly toggle: () => void;
}

/** A list of captions with "Off" first, or null when there are none. */
export function captionChoice(player: shaka.Player): CaptionChoice | null {
  const tracks = player.getTextTracks().filter((track) => !track.forced);
  if (tracks.length === 0) return null;
  const shown = (): number => player.getTextTracks().find((track) => track.active)?.id ?? NONE;
  let last = preferred(tracks).id;
  const choose = (id: number): void => {
    if (id !== NONE) last = id;
    player.selectTextTrack(tracks.find((track) => track.id === id) ?? null);
  };
  const options = tracks.map((track) => option(String(track.id), captionName(track, tracks)));
  const element = labelled("Captions", [option(String(NONE), "Off"), ...options], (value) =>
    choose(Number(value)),
  );
  const select = element.querySelector("select") as HTMLSelectElement;
  const sync = (): void => {
    select.value = String(shown());
  };
  sync();
  player.addEventListener("textchanged", sync); // the browser's own controls have a menu of captions, too
  return { element, toggle: () => choose(shown() === NONE ? last : NONE) };
}

/** The first track in a language that the viewer's browser asks for, else the first. */
function preferred(tracks: readonly shaka.extern.TextTrack[]): shaka.extern.TextTrack {
  const wanted = navigator.languages.map((tag) => tag.split("-", 1)[0]);
  const found = wanted.map((language) =>
    tracks.find((track) => track.language.split("-", 1)[0] === language),
  );
  return found.find((track) => track !== undefined) ?? (tracks[0] as shaka.extern.TextTrack);
}

function captionName(track: shaka.extern.TextTrack, all: readonly shaka.extern.TextTrack[]): string {
  const name = trackName(track);
  const isAlone = all.filter((other) => trackName(other) === name).length === 1;
  return isAlone ? name : `${name} (${track.roles[0] ?? track.kind ?? track.id})`;
}

function trackName(track: Pick<shaka.extern.AudioTrack, "label" | "language" | "roles">): string {
  const name = track.label || languageName(track.language);
  return track.roles.includes("description") ? `${name} (audio description)` : name;
}

export function languageName(tag: string): string {
  if (tag === "und") return "Original";
  try {
    return new Intl.DisplayNames(undefined, { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

function option(value: string, text: string, selected = false): HTMLOptionElement {
  return h("option", { value, selected }, text);
}

function labelled(
  text: string,
  options: HTMLOptionElement[],
  onChoose: (value: string) => void,
): HTMLElement {
  const select = h("select", {}, ...options);
  select.addEventListener("change", () => onChoose(select.value));
  return h("label", {}, text, select);
}
