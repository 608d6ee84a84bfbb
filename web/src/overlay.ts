/** Text over the picture that names the viewer: it moves, and comes back when a script removes or hides it.
 *
 * It stops nobody who knows what they do: another element can lie over it, the video can be drawn elsewhere, and a script
 * that runs before this one can change what the browser offers. It makes a recording by the screen name its viewer.
 */

import { adopt, h } from "./dom.ts";

const LOOK_MS = 1000;
const MOVE_MS = 7000;
/** So often it is put back; after that the film had better stop. */
const PATIENCE = 10;

// In a closed shadow tree, whose !important rules win over every rule of the page, inline ones too. The element covers the
// whole picture, so that what moves is out of reach.
const STYLE = `
:host {
  all: initial !important;
  position: absolute !important;
  inset: 0 !important;
  z-index: 1 !important;
  display: block !important;
  overflow: hidden !important;
  pointer-events: none !important;
}
span {
  position: absolute;
  max-width: 45%;
  overflow: hidden;
  color: #fff;
  font: 500 clamp(12px, 2.2cqw, 24px) / 1.4 system-ui, sans-serif;
  opacity: 0.55;
  text-overflow: ellipsis;
  text-shadow: 0 0 4px #000, 0 0 2px #000;
  white-space: nowrap;
  user-select: none;
}`;

export class Overlay {
  private node: HTMLElement | null = null;
  private words: HTMLElement | null = null;
  private restored = 0;
  private moved = 0;
  private timer: number | undefined;
  private readonly observer = new MutationObserver(() => this.look());

  /** tampered: told each time it was put back. defeated: told once, when that does not help. */
  constructor(
    private readonly stage: HTMLElement,
    private readonly text: string,
    private readonly tampered: () => void,
    private readonly defeated: () => void,
  ) {}

  start(): void {
    this.build();
    this.observer.observe(this.stage, { childList: true, subtree: true, attributes: true });
    this.timer = window.setInterval(() => {
      if (Date.now() - this.moved >= MOVE_MS) this.move();
      this.look();
    }, LOOK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
    this.observer.disconnect();
    this.node?.remove();
    this.node = null;
  }

  /** Put it back when it is not as it was made. A stage that is hidden itself shows no picture either. */
  private look(): void {
    if (this.node === null || !visible(this.stage) || this.intact()) return;
    if (this.restored >= PATIENCE) {
      this.stop();
      this.defeated();
      return;
    }
    this.restored += 1;
    this.node.remove();
    this.build();
    this.tampered();
  }

  private intact(): boolean {
    const { node, words, stage } = this;
    return node !== null && node.parentNode === stage && visible(node) && words?.textContent === this.text;
  }

  private build(): void {
    const node = h("div", { "aria-hidden": "true" });
    const root = node.attachShadow({ mode: "closed" });
    adopt(root, STYLE);
    const words = h("span", {}, this.text);
    root.append(words);
    this.node = node;
    this.words = words;
    this.move();
    this.stage.append(node);
    this.observer.takeRecords(); // our own doing
  }

  private move(): void {
    this.moved = Date.now();
    this.words?.style.setProperty("left", `${5 + Math.random() * 45}%`);
    this.words?.style.setProperty("top", `${5 + Math.random() * 75}%`);
  }
}

function visible(element: Element): boolean {
  return element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
}
