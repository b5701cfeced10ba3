// What a visitor thinks of answers: a good one, or what it should have been. They gather until they are learned.

import type { Feedback } from "stepladder";
import { button, field, h } from "./dom.js";

export class Judgements {
  readonly #better = h("input", { id: "learn-better", autocomplete: "off" });
  readonly #good = button("Good answer", () => this.#judge({ thumb: "up" }), { id: "learn-good", class: "quiet" });
  readonly #wrong = button("It should have been this", () => this.#edit(), { id: "learn-wrong", class: "quiet" });
  readonly #learn = button("Learn from it", () => this.learn([...this.#rows.values()]), { id: "learn-judged" });
  readonly #line = h("p", { class: "muted", role: "status" });
  readonly #about = h("div", { hidden: true }, h("div", { class: "buttons" }, this.#good), field("A better answer", this.#better), h("div", { class: "buttons" }, this.#wrong));
  readonly element = h("div", {}, this.#about, this.#line, h("div", { class: "buttons" }, this.#learn));
  /** By question: the last word counts. */
  readonly #rows = new Map<string, Feedback>();
  #answered: { prompt: string; answer: string } | undefined;

  constructor(private readonly learn: (rows: readonly Feedback[]) => void) {
    this.#better.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#edit();
    });
    this.enable(false);
  }

  /** An answer that can be judged, or none. */
  show(answered: { prompt: string; answer: string } | undefined): void {
    this.#answered = answered;
    this.#about.hidden = answered === undefined;
    this.#good.disabled = answered?.answer.trim() === "";
    this.#better.value = "";
  }

  /** What was learned is not learned again. */
  clear(): void {
    this.#rows.clear();
    this.show(undefined);
    this.#tell("");
  }

  enable(free: boolean): void {
    this.#learn.disabled = !free;
    this.#learn.hidden = this.#rows.size === 0;
  }

  #edit(): void {
    const edited = this.#better.value.trim();
    if (edited === "") this.#better.focus();
    // The visitor wants to hear this answer, not only that it is likelier than the one that was wrong.
    else this.#judge({ answer: edited, thumb: "up" });
  }

  #judge(word: Partial<Feedback>): void {
    if (this.#answered === undefined) return;
    this.#rows.set(this.#answered.prompt, { ...this.#answered, ...word });
    this.show(undefined);
    this.#tell(this.#rows.size === 1 ? "1 answer is judged." : `${this.#rows.size} answers are judged.`);
    this.#learn.hidden = false;
  }

  #tell(words: string): void {
    this.#line.textContent = words;
  }
}
