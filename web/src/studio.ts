/** The Studio page: sign in, upload, see what becomes of it, watch, delete. */

import { Api, ApiError, errorSentence } from "./api.ts";
import { confirmSignOut } from "./dialogs.ts";
import { button, h, setText } from "./dom.ts";
import { oversight } from "./oversight.ts";
import { dropSecret, keepSecret, takeSecret } from "./secret.ts";
import { Shelf } from "./shelf.ts";
import { PenstockUploader } from "./uploader.ts";

const SECRET = "api-key";
const main = document.getElementById("main") as HTMLElement;
const account = document.getElementById("account") as HTMLElement;

/** The key of an address that ends in `#key=...`. */
export function keyFromFragment(fragment: string): string {
  return new URLSearchParams(fragment.replace(/^#/, "")).get("key") ?? "";
}

let leave: (() => void) | null = null;

function open(apiKey: string): void {
  const api = new Api("/v1", () => `Bearer ${apiKey}`);
  const notice = h("p", { class: "notice", role: "alert" });
  const uploader = new PenstockUploader();
  uploader.authorization = () => `Bearer ${apiKey}`;
  const shelf = new Shelf(api, {
    hidden: () => uploader.assetIds,
    onError: (error) => {
      if (error instanceof ApiError && error.status === 401) signOut("This API key is not known here.");
      else setText(notice, error === null ? "" : errorSentence(error));
    },
  });
  for (const type of ["penstock-upload-start", "penstock-upload-end", "penstock-upload-change"]) {
    uploader.addEventListener(type, () => void shelf.refresh());
  }
  leave = () => {
    shelf.stop();
    uploader.stop();
  };
  const asked = async (): Promise<void> => {
    if (!uploader.active || (await confirmSignOut())) signOut();
  };
  account.replaceChildren(button("Sign out", () => void asked(), { kind: "quiet" }));
  main.replaceChildren(notice, uploader, shelf.element, ...oversight(api));
  shelf.start();
}

function signOut(reason = ""): void {
  leave?.();
  leave = null;
  dropSecret(SECRET);
  askForKey(reason);
}

function askForKey(reason: string): void {
  const input = h("input", {
    type: "password",
    name: "key",
    id: "key",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "key-hint key-error",
  });
  const error = h("p", { class: "error", id: "key-error", role: "alert" }, reason);
  const submit = h("button", { class: "primary" }, "Sign in");
  const form = h(
    "form",
    { class: "sign-in" },
    h("h1", {}, "Sign in to Studio"),
    h("label", { class: "field", for: "key" }, "API key", input),
    error,
    submit,
    h(
      "p",
      { class: "hint", id: "key-hint" },
      "On this machine, ",
      h("code", {}, "penstock env"),
      " shows it as ",
      h("code", {}, "PENSTOCK_API_KEY"),
      ".",
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit.disabled = true;
    tryKey(input.value.trim())
      .catch((problem: unknown) => {
        setText(error, errorSentence(problem));
        input.select();
      })
      .finally(() => {
        submit.disabled = false;
      });
  });
  account.replaceChildren();
  main.replaceChildren(form);
  input.focus();
}

async function tryKey(apiKey: string): Promise<void> {
  // A header takes only Latin letters; say so in place of the browser's own words.
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new Error("This is not an API key.");
  await new Api("/v1", () => `Bearer ${apiKey}`).listAssets(1, null);
  keepSecret(SECRET, apiKey);
  open(apiKey);
}

const known = takeSecret(SECRET, keyFromFragment(location.hash));
if (known === null) askForKey("");
else open(known);
// The same address with another key, opened in this tab, does not load the page anew.
window.addEventListener("hashchange", () => {
  const given = takeSecret(SECRET, keyFromFragment(location.hash));
  if (given === null) return;
  leave?.();
  open(given);
});
