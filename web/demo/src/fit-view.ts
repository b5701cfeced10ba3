// What a workload needs on the GPU, against what is known of the device.

import type { Fit, Workload } from "stepladder";
import { field, h, numberInput, numberOf } from "./dom.js";
import { bytes } from "./format.js";

const PARTS = [
  ["weights", "Weights"],
  ["kv", "Keys and values"],
  ["activations", "Activations"],
  ["optimizer", "Adapter and optimizer"],
] as const;

export class FitView {
  readonly #rank = numberInput(8, { min: 1, max: 256 });
  readonly #batch = numberInput(8, { min: 1, max: 256 });
  readonly #length = numberInput(256, { min: 16, step: 16 });
  readonly #answer = h("div", { role: "status" });
  readonly element = h(
    "div",
    { class: "fit" },
    h("h4", {}, "What fits"),
    h("div", { class: "row" }, field("Rank", this.#rank), field("Sequences at once", this.#batch), field("Length", this.#length)),
    this.#answer,
  );
  #ask: ((workload: Workload) => Promise<Fit>) | undefined;

  constructor() {
    this.element.addEventListener("change", () => this.#ask && void this.#again(this.#ask));
  }

  /** Shows what `ask` answers, now and whenever the numbers are changed. Fails with the first answer. */
  async show(ask: (workload: Workload) => Promise<Fit>): Promise<void> {
    this.#ask = ask;
    this.#answer.replaceChildren();
    this.#draw(await ask(this.#workload));
  }

  get #workload(): Workload {
    const [rank, batch, length] = [this.#rank, this.#batch, this.#length].map(numberOf);
    return { ...(rank && { rank }), ...(batch && { batch }), ...(length && { length }) };
  }

  async #again(ask: (workload: Workload) => Promise<Fit>): Promise<void> {
    try {
      this.#draw(await ask(this.#workload));
    } catch (error) {
      this.#answer.replaceChildren(h("p", { class: "bad" }, error instanceof Error ? error.message : String(error)));
    }
  }

  #draw(fit: Fit): void {
    const verdict = fit.fits ? "Nothing speaks against training" : "Training does not fit";
    const rows = PARTS.map(([key, label]) =>
      h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, bytes(fit[key])), h("td", {}, h("meter", { min: 0, max: fit.total || 1, value: fit[key], "aria-label": `${label}, share of the whole` }))),
    );
    this.#answer.replaceChildren(
      h("p", { class: fit.fits ? "good" : "bad" }, `${verdict}: it takes ${bytes(fit.total)} of the GPU’s memory.`),
      h("p", { class: "muted" }, sentence(fit.reason), fit.hint ? ` ${sentence(fit.hint)}` : ""),
      h("table", {}, h("tbody", {}, ...rows)),
    );
  }
}

function sentence(text: string): string {
  return text === "" ? "" : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
