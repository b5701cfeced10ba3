// Errors where they happened, announced at once: what, where, and what to do.

import { StepladderError } from "stepladder";
import { h } from "./dom.js";

export class Alert {
  readonly element = h("div", { class: "alert", role: "alert", hidden: true });

  show(error: unknown): void {
    // A run that the visitor stopped is no failure.
    if (error instanceof StepladderError && error.code === "aborted") return;
    const message = error instanceof Error ? error.message : String(error);
    const hint = error instanceof StepladderError ? error.hint : "";
    this.element.replaceChildren(h("p", {}, h("strong", {}, message)), ...(hint ? [h("p", {}, hint)] : []));
    this.element.hidden = false;
  }

  clear(): void {
    this.element.hidden = true;
    this.element.replaceChildren();
  }

  /** Does `work` and shows what goes wrong. */
  async guard(work: () => Promise<void>): Promise<void> {
    this.clear();
    try {
      await work();
    } catch (error) {
      this.show(error);
    }
  }
}
