// Before a download: what it takes, whether the model then fits, and the choice to go on.

import { fit, type FitOptions, type PreFlight, type Source, type Workload } from "stepladder";
import { button, card, h } from "./dom.js";
import { FitView } from "./fit-view.js";
import { bytes, count } from "./format.js";

export class PreFlightCard {
  readonly #facts = h("dl", { class: "facts" });
  readonly #fit = new FitView();
  readonly #go = button("Download", () => this.#decide(true), { class: "primary", id: "preflight-go" });
  readonly #not = button("Not now", () => this.#decide(false), { class: "quiet", id: "preflight-not" });
  readonly element = card("Before the download", { hidden: true, id: "preflight" }, this.#facts, this.#fit.element, h("div", { class: "buttons" }, this.#go, this.#not));
  #decide: (go: boolean) => void = () => undefined;

  /** Reads the model's headers, shows what they say, and answers whether the visitor wants it. */
  async ask(source: Source, options: FitOptions, kept: boolean, shown: () => void): Promise<boolean> {
    this.#decide(false);
    const plan = async (workload: Workload): Promise<PreFlight> => {
      const answer = await fit(source, { ...options, ...workload });
      this.#describe(answer, kept);
      return answer;
    };
    await this.#fit.show(plan);
    this.element.hidden = false;
    shown();
    this.#go.focus();
    try {
      return await new Promise<boolean>((resolve) => {
        this.#decide = resolve;
        options.signal?.addEventListener("abort", () => resolve(false));
      });
    } finally {
      this.element.hidden = true;
    }
  }

  #describe({ name, family, layers, parameters, contextLength, download }: PreFlight, kept: boolean): void {
    const rest = Math.max(0, download.bytes - download.kept);
    const tight = kept && download.free !== null && rest > download.free;
    const facts: [string, string][] = [
      ["Name", name],
      ["Kind", `${family}, ${layers} layers, ${count(parameters)} parameters`],
      ["Context", `${count(contextLength)} tokens`],
      ["Download", download.kept > 0 ? `${bytes(rest)}; ${bytes(download.kept)} are here already` : bytes(rest)],
    ];
    if (download.free !== null) facts.push(["Free in this browser", `${bytes(download.free)}${tight ? ": too little to keep it; switch off “Keep downloads in this browser”" : ""}`]);
    this.#facts.replaceChildren(...facts.flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]));
    this.#go.textContent = rest > 0 ? `Download ${bytes(rest)} and load` : "Load";
  }
}
