// What a workload needs on the GPU, against what the device has.

import type { Model } from "stepladder";
import { field, h, numberInput, numberOf } from "./dom.js";
import { bytes } from "./format.js";

const PARTS = [
  ["weights", "Weights"],
  ["kv", "Keys and values"],
  ["activations", "Activations"],
  ["optimizer", "Optimizer"],
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
  #model: Model | undefined;

  constructor() {
    this.element.addEventListener("change", () => this.#model && void this.show(this.#model));
  }

  async show(model: Model): Promise<void> {
    this.#model = model;
    try {
      const [rank, batch, length] = [this.#rank, this.#batch, this.#length].map(numberOf);
      const wish = { ...(rank && { rank }), ...(batch && { batch }), ...(length && { length: Math.min(length, model.info.contextLength) }) };
      const fit = await model.fit(wish);
      const verdict = fit.fits ? "Training fits on this device" : "Training does not fit";
      const of = typeof fit.available !== "number" ? "" : ` of ${bytes(fit.available)}`;
      const rows = PARTS.map(([key, label]) =>
        h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, bytes(fit[key])), h("td", {}, h("meter", { min: 0, max: fit.total || 1, value: fit[key], "aria-label": `${label}, share of the whole` }))),
      );
      this.#answer.replaceChildren(
        h("p", { class: fit.fits ? "good" : "bad" }, `${verdict}: ${bytes(fit.total)}${of}.`, fit.hint ? ` ${fit.hint}` : ""),
        h("table", {}, h("tbody", {}, ...rows)),
      );
    } catch (error) {
      this.#answer.replaceChildren(h("p", { class: "bad" }, error instanceof Error ? error.message : String(error)));
    }
  }
}
