/** Questions and answers on top of the page, as native modal dialogs: focus stays inside, Escape closes. */

import { button, h } from "./dom.ts";

/** Ask before an asset is deleted. Resolves true only for an explicit yes. */
export function confirmDeletion(title: string): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" });
    const keep = button("Keep", () => dialog.close());
    const remove = button("Delete", () => dialog.close("delete"), { kind: "danger" });
    dialog.append(
      h("h2", { id: "dialog-title" }, `Delete “${title}”?`),
      h("p", { id: "dialog-text" }, "Its source, all its renditions and its watch links go for good."),
      h("div", { class: "buttons" }, keep, remove),
    );
    open(dialog, () => resolve(dialog.returnValue === "delete"));
    keep.focus();
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
