// Errors where they happened, announced at once.

import { h } from "../../demo/src/dom.js";

export class Alert {
  readonly element = h("div", { class: "alert", role: "alert", hidden: true });

  /** Does `work` and shows what goes wrong. */
  async guard(work: () => Promise<void>): Promise<void> {
    this.element.hidden = true;
    try {
      await work();
    } catch (error) {
      // What the visitor stopped is no failure.
      if (error instanceof DOMException && error.name === "AbortError") return;
      this.element.replaceChildren(h("p", {}, h("strong", {}, error instanceof Error ? error.message : String(error))));
      this.element.hidden = false;
    }
  }
}
