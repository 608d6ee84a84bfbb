/** Builds DOM nodes. Text always goes in as text, so nothing here can turn a file name into markup. */

type Child = Node | string | null;
type Attributes = Record<string, string | number | boolean | null | undefined>;

/** Make an element: `h("button", { class: "quiet", type: "button" }, "Cancel")`. Attributes that are false, null or undefined are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** A button that says what it does; `label` names it for screen readers where the text alone is not enough. */
export function button(
  text: string,
  onClick: () => void,
  options: { kind?: string; label?: string } = {},
): HTMLButtonElement {
  const element = h(
    "button",
    { type: "button", class: options.kind ?? "plain", "aria-label": options.label },
    text,
  );
  element.addEventListener("click", onClick);
  return element;
}

/** Change text only when it differs, so that nothing is read out twice. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

/** A decorative line drawing from one path on a 24 x 24 grid. */
export function icon(path: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** Style sheets for a shadow root. Constructed sheets are allowed under a Content-Security-Policy without inline styles. */
export function adopt(root: ShadowRoot, ...texts: string[]): void {
  root.adoptedStyleSheets = texts.map((text) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(text);
    return sheet;
  });
}
