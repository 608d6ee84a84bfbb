/** Lets the viewer choose quality and language, where there is a choice. */

import type shaka from "shaka-player/dist/shaka-player.dash-es2021.js";
import { h } from "./dom.ts";

const AUTO = "auto";

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

/** A list of languages, or null when there is one only. */
export function audioChoice(player: shaka.Player): HTMLElement | null {
  const tracks = new Map(player.getAudioTracks().map((track) => [track.language, track]));
  if (tracks.size < 2) return null;
  const playing = player.getAudioTracks().find((track) => track.active)?.language;
  const options = [...tracks.keys()].map((language) =>
    option(language, languageName(language), language === playing),
  );
  return labelled("Language", options, (value) => {
    const track = tracks.get(value);
    if (track) player.selectAudioTrack(track);
  });
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
