// The facts of a lesson, each with a mark that tells whether it is recalled.

import { h } from "./dom.js";

export class RecallView {
  readonly #list = h("ul", { class: "recall", id: "learn-recall" });
  readonly #words = h("p", { class: "muted", role: "status" });
  readonly element = h("div", { hidden: true }, this.#words, this.#list);
  #items: HTMLElement[] = [];

  begin(facts: readonly { question: string; answer: string }[]): void {
    this.element.hidden = false;
    this.#items = facts.map(({ question, answer }) => h("li", { class: "open" }, h("span", { class: "tick", "aria-hidden": "true" }, "·"), h("span", {}, `${question} ${answer}`)));
    this.#list.replaceChildren(...this.#items);
    this.#words.textContent = `${facts.length} to learn`;
  }

  show(right: readonly boolean[]): void {
    this.#items.forEach((item, index) => {
      const is = right[index] === true;
      item.className = is ? "right" : "open";
      const [tick] = item.children;
      if (tick) tick.textContent = is ? "✓" : "·";
    });
    this.#words.textContent = `${right.filter(Boolean).length} of ${this.#items.length} recalled`;
  }
}
