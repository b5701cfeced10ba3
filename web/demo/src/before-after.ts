// Held-out problems solved before the run and after it, with the interval of the measurement.

import type { Evaluated } from "stepladder";
import { card, h } from "./dom.js";
import { percent } from "./format.js";

export class BeforeAfter {
  readonly #before = figure("Before");
  readonly #after = figure("Now");
  readonly #note = h("p", { class: "muted" });
  readonly #levels = h("table", { hidden: true });
  readonly element = card("Held-out problems solved", { hidden: true }, h("div", { class: "compare" }, this.#before.element, this.#after.element), this.#note, this.#levels);
  #first: Evaluated | undefined;

  reset(): void {
    this.element.hidden = true;
    this.#first = undefined;
    this.#before.set(undefined);
    this.#after.set(undefined);
    this.#levels.hidden = true;
  }

  evaluated(event: Evaluated): void {
    this.element.hidden = false;
    this.#first ??= event;
    // Where numbers alone judge there is no pass rate.
    const rate = event.pass_at["1"];
    (event === this.#first ? this.#before : this.#after).set(rate, rate === undefined ? undefined : event.ci95);
    const rewards = Object.entries(event.rewards ?? {}).map(([name, reward]) => ` Mean of ${name}: ${reward?.mean.toFixed(2)}.`);
    this.#note.textContent = `${event.n} problems that are never learned from, ${event.samples} ${event.samples === 1 ? "answer" : "answers"} to each. Ranges are 95 % intervals.${rewards.join("")}`;
    this.#drawLevels(event);
  }

  finish(before: number | undefined, after: number | undefined): void {
    if (before === undefined && after === undefined) return;
    this.element.hidden = false;
    if (before !== undefined) this.#before.set(before);
    if (after !== undefined) this.#after.set(after);
  }

  #drawLevels(event: Evaluated): void {
    const first = new Map(this.#first?.by_level.map((level) => [level.level, level.pass_at_1]));
    const rows = event.by_level
      .filter((level) => level.level !== null)
      .map((level) =>
        h("tr", {}, h("th", { scope: "row" }, `Level ${level.level}`), h("td", {}, percent(first.get(level.level))), h("td", {}, event === this.#first ? "–" : percent(level.pass_at_1))),
      );
    this.#levels.hidden = rows.length < 2;
    const head = h("tr", {}, h("td", {}), h("th", { scope: "col" }, "before"), h("th", { scope: "col" }, "now"));
    this.#levels.replaceChildren(h("thead", {}, head), h("tbody", {}, ...rows));
  }
}

function figure(label: string): { element: HTMLElement; set(value: number | undefined, interval?: [number, number]): void } {
  const number = h("span", { class: "big" }, "–");
  const range = h("span", { class: "muted" });
  const meter = h("meter", { min: 0, max: 1, value: 0, "aria-label": `${label}: share of problems solved` });
  const element = h("div", { class: "figure" }, h("span", { class: "label" }, label), number, meter, range);
  return {
    element,
    set(value, interval) {
      number.textContent = percent(value);
      meter.value = value ?? 0;
      if (interval) range.textContent = `${percent(interval[0])} to ${percent(interval[1])}`;
      else if (value === undefined) range.textContent = "";
    },
  };
}
