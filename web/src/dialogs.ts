/** Questions and answers on top of the page, as native modal dialogs: focus stays inside, Escape closes. */

import { button, h } from "./dom.ts";

/** Ask before an asset is deleted. Resolves true only for an explicit yes. */
export function confirmDeletion(title: string): Promise<boolean> {
  return confirm(
    `Delete “${title}”?`,
    "Its source, all its renditions and its watch links go for good.",
    "Keep",
    button("Delete", () => undefined, { kind: "danger" }),
  );
}

/** Ask before uploads are stopped. Resolves true only for an explicit yes. */
export function confirmSignOut(): Promise<boolean> {
  return confirm(
    "Sign out while films go up?",
    "Their uploads stop. Large ones go on where they were when the same file is chosen again.",
    "Stay",
    button("Sign out", () => undefined, { kind: "primary" }),
  );
}

function confirm(question: string, meaning: string, no: string, yes: HTMLButtonElement): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" });
    const stay = button(no, () => dialog.close());
    yes.addEventListener("click", () => dialog.close("yes"));
    dialog.append(
      h("h2", { id: "dialog-title" }, question),
      h("p", { id: "dialog-text" }, meaning),
      h("div", { class: "buttons" }, stay, yes),
    );
    open(dialog, () => resolve(dialog.returnValue === "yes"));
    stay.focus();
  });
}

/** Show a watch link to copy by hand. */
export function showLink(title: string, url: string): void {
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" });
  const input = h("input", { type: "text", readonly: true, value: url, "aria-label": "Watch link" });
  const go = h("a", { class: "button primary", href: url, target: "_blank", rel: "noopener" }, "Open");
  dialog.append(
    h("h2", { id: "dialog-title" }, `Watch link of “${title}”`),
    input,
    h(
      "div",
      { class: "buttons" },
      button("Close", () => dialog.close()),
      go,
    ),
  );
  open(dialog, () => undefined);
  input.select();
}

function open(dialog: HTMLDialogElement, onClose: () => void): void {
  dialog.addEventListener("close", () => {
    dialog.remove();
    onClose();
  });
  document.body.append(dialog);
  dialog.showModal();
}
