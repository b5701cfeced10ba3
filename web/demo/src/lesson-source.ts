// What a lesson is made from: questions and answers, a text, or a LADDER run of this browser.

import { listRuns, type LessonSource } from "stepladder";
import { field, h } from "./dom.js";
import { parsePairs } from "./teach-data.js";

const SAMPLE = "Q: What is the tallest step of the ladder called?\nA: The top cap. Nobody should stand on it.\n\nQ: Who wrote this page?\nA: Somebody who likes short answers.";

type Kind = "pairs" | "document" | "run";

const KINDS: Record<Kind, string> = {
  pairs: "Questions and answers",
  document: "A text, about which the model asks itself",
  run: "What a LADDER run solved",
};

export class LessonSourceView {
  readonly #kind = h("select", { id: "learn-kind" }, ...Object.entries(KINDS).map(([kind, label]) => h("option", { value: kind }, label)));
  readonly #text = h("textarea", { rows: 8, id: "learn-text", placeholder: SAMPLE, spellcheck: "false" });
  readonly #runs = h("select", { id: "learn-run" });
  readonly #count = h("p", { class: "muted", role: "status" }, "Nothing to learn yet.");
  readonly #written: HTMLElement;
  readonly #run = field("Run", this.#runs, "The problems that it solved are learned; its held-out problems are the exam.");
  readonly element: HTMLElement;

  /** `model` is the name of the model that is loaded. */
  constructor(private readonly model: () => string | undefined) {
    const file = h("input", { type: "file", accept: ".jsonl,.json,.txt,.tsv,.md", multiple: true });
    file.addEventListener("change", () => void this.take([...(file.files ?? [])]));
    this.#text.addEventListener("input", () => this.#preview());
    this.#kind.addEventListener("change", () => void this.#list());
    this.#written = h(
      "div",
      { class: "fields" },
      field("Text", this.#text, "“Q:” and “A:”, or a question, a tab and its answer a line, or lines of JSON with question and answer. Or any text, if the model is to ask about it itself."),
      field("Or files", file, "You can also drop them on this card."),
    );
    this.element = h("div", { class: "fields" }, field("What it is", this.#kind), this.#written, this.#run, this.#count);
    this.#preview();
  }

  /** Adds texts of files. */
  async take(files: readonly File[]): Promise<void> {
    const texts = await Promise.all(files.map((file) => file.text()));
    this.#text.value = [this.#text.value.trim(), ...texts.map((text) => text.trim())].filter(Boolean).join("\n");
    this.#preview();
  }

  /** Lists the model's runs where one is to be chosen: there may be more than there were. */
  async #list(): Promise<void> {
    this.#preview();
    if ((this.#kind.value as Kind) !== "run") return;
    const runs = (await listRuns()).filter((run) => run.kind === "ladder" && run.model === this.model() && run.step > 0);
    this.#runs.replaceChildren(...runs.map(({ name, step }) => h("option", { value: name }, `${name}, ${step} steps`)));
    this.#preview();
  }

  /** What is to be learned; an error in words if there is nothing. */
  read(): LessonSource {
    switch (this.#kind.value as Kind) {
      case "pairs": {
        const { pairs, count } = parsePairs(this.#text.value);
        if (count > 0) return pairs;
        this.#text.focus();
        throw new Error("there is nothing to learn: write questions and answers");
      }
      case "document": {
        const document = this.#text.value.trim();
        if (document !== "") return { document };
        this.#text.focus();
        throw new Error("there is nothing to learn: paste a text");
      }
      case "run":
        if (this.#runs.value !== "") return { run: this.#runs.value };
        throw new Error("there is no run to learn from: let one go in the tab LADDER, and keep it");
    }
  }

  #preview(): void {
    const kind = this.#kind.value as Kind;
    this.#written.hidden = kind === "run";
    this.#run.hidden = kind !== "run";
    this.#count.textContent = this.#found(kind);
  }

  /** What is there, in words. */
  #found(kind: Kind): string {
    const length = this.#text.value.trim().length;
    if (kind === "run") return this.#runs.length === 0 ? "This browser keeps no run of this model." : "";
    if (length === 0) return "Nothing to learn yet.";
    if (kind === "document") return `A text of ${length} characters.`;
    try {
      const { count } = parsePairs(this.#text.value);
      return count === 1 ? "1 question with its answer." : `${count} questions with answers.`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}
