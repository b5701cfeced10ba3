// Supervised learning from the visitor's own text, then a look at it in the chat.

import { runLog, type Example, type Model, type StoredRun, type TrainOptions, type TrainStep } from "stepladder";
import { Alert } from "./alert.js";
import { Chart } from "./chart.js";
import { button, card, field, h, numberInput, numberOf } from "./dom.js";
import { duration, rate } from "./format.js";
import type { Session } from "./session.js";
import { describe } from "./setting-fields.js";
import { StoredRuns } from "./stored-runs.js";
import { forChat, parseExamples } from "./teach-data.js";

const SAMPLE = "Q: What is the tallest step of the ladder called?\nA: The top cap. Nobody should stand on it.\n\nQ: Who wrote this page?\nA: Somebody who likes short answers.";

/** In a field that is empty. */
const FITTING = "as fits";

export class TeachTab {
  readonly panel: HTMLElement;
  readonly #alert = new Alert();
  readonly #text = h("textarea", { rows: 10, id: "teach-text", placeholder: SAMPLE, spellcheck: "false" });
  readonly #count = h("p", { class: "muted", role: "status" }, "Nothing to learn yet.");
  // Empty is what fits the model and the examples.
  readonly #steps = numberInput("", { step: 1, id: "teach-steps", placeholder: FITTING });
  readonly #rate = numberInput("", { step: "any", placeholder: FITTING });
  readonly #batch = numberInput("", { step: 1, placeholder: FITTING });
  readonly #rank = numberInput("", { step: 1, placeholder: FITTING });
  readonly #chart = new Chart("Loss", (value) => value.toFixed(2));
  readonly #line = h("p", { class: "progress-line", role: "status" });
  readonly #bar = h("progress", { max: 1, value: 0, "aria-label": "Steps done" });
  readonly #start = button("Teach", () => void this.#teach(), { class: "primary", id: "teach-start" });
  readonly #stop = button("Stop", () => this.#abort?.abort(), { disabled: true });
  readonly #try = button("Try it in the chat", () => this.session.show("chat"), { hidden: true, id: "teach-try" });
  readonly #note = h("p", { class: "muted", hidden: true, role: "status" });
  readonly #stored: StoredRuns;
  #abort: AbortController | undefined;
  #losses: number[] = [];
  /** The last loss of what is held out, in words. */
  #held = "";

  constructor(private readonly session: Session) {
    this.#text.addEventListener("input", () => this.#preview());
    const file = h("input", { type: "file", accept: ".txt,.md,.jsonl,.json", multiple: true });
    file.addEventListener("change", () => void this.#read([...(file.files ?? [])]));
    const how = h(
      "details",
      {},
      h("summary", {}, "How to learn"),
      h("div", { class: "row" }, field("Learning rate", this.#rate), field("Examples a step", this.#batch), field("Rank", this.#rank)),
    );
    const fields = { steps: this.#steps, learning_rate: this.#rate, batch_size: this.#batch, "lora.rank": this.#rank };
    how.addEventListener("toggle", () => void this.#alert.guard(() => describe(fields, "train")));
    const lesson = card(
      "What to learn",
      { class: "drop-text" },
      field("Text, or questions and answers", this.#text, "Pairs begin with “Q:” and “A:”. Paragraphs of plain text are learned as they are. Lines of JSON work as on the command line."),
      field("Or files", file, "Text files; you can also drop them on this card."),
      this.#count,
      how,
      h("div", { class: "row" }, field("Steps", this.#steps), h("div", { class: "buttons" }, this.#start, this.#stop)),
    );
    lesson.addEventListener("dragover", (event) => event.preventDefault());
    lesson.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.#read([...(event.dataTransfer?.files ?? [])]);
    });
    const progress = card("How it goes", {}, h("div", { class: "progress" }, this.#line, this.#bar, this.#note), this.#chart.element, this.#try);
    this.#stored = new StoredRuns(session, "train", this.#alert, (run) => void this.#teach(run), "Use again");
    this.panel = h(
      "section",
      { class: "part", id: "panel-teach" },
      this.#alert.element,
      h("div", { class: "columns" }, h("div", { class: "stage" }, lesson, this.#stored.element), progress),
    );
    session.watch(({ model, busy }) => {
      this.#start.disabled = model === undefined || busy !== undefined;
      if (!model) this.#line.textContent = "Load a model first, in the tab Model.";
      else if (busy === undefined && this.#bar.value === 0) this.#line.textContent = `${model.info.name} is ready to learn.`;
      else if (busy !== undefined && this.#abort === undefined) this.#line.textContent = `Please wait: ${busy}.`;
    });
  }

  async #read(files: File[]): Promise<void> {
    await this.#alert.guard(async () => {
      const texts = await Promise.all(files.map((file) => file.text()));
      this.#text.value = [this.#text.value.trim(), ...texts.map((text) => text.trim())].filter(Boolean).join("\n\n");
      this.#preview();
    });
  }

  #preview(): void {
    try {
      const { examples, kind } = parseExamples(this.#text.value);
      this.#count.textContent = examples.length === 0 ? "Nothing to learn yet." : `${examples.length} ${kind}.`;
    } catch (error) {
      this.#count.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  /** Teaches what the form holds, or goes on with a kept run. */
  async #teach(kept?: StoredRun): Promise<void> {
    const { model } = this.session.state;
    if (!model) return;
    await this.#alert.guard(async () => {
      const examples = kept === undefined ? this.#examples(model) : [];
      const options: TrainOptions = kept === undefined ? this.#options(model) : { run: kept.name, resume: true };
      this.#abort = new AbortController();
      this.#stop.disabled = false;
      this.#try.hidden = this.#note.hidden = true;
      this.#losses = [];
      this.#held = "";
      const began = performance.now();
      try {
        await this.session.occupy("learning from examples", async () => {
          if (kept !== undefined) {
            const log = await runLog(kept.name);
            if (log.kind === "train") log.events.forEach((step) => this.#take(step));
          }
          const { signal } = this.#abort as AbortController;
          for await (const step of model.train(examples, { ...options, signal })) this.#take(step);
        });
        const [first, last] = [this.#losses[0], this.#losses.at(-1)];
        const change = first === undefined || last === undefined ? "" : `: loss ${first.toFixed(2)} → ${last.toFixed(2)}`;
        this.#line.textContent = `Learned in ${duration((performance.now() - began) / 1000)}${change}${this.#held}.`;
      } finally {
        if (this.#abort?.signal.aborted) this.#line.textContent = "Stopped. What was learned so far is kept, and it can go on.";
        this.#stop.disabled = true;
        this.#abort = undefined;
        if (this.#losses.length > 0) {
          this.session.update({ trained: true });
          this.#try.hidden = false;
        }
        void this.#stored.refresh();
      }
    });
  }

  #examples(model: Model): Example[] {
    const { examples } = parseExamples(this.#text.value);
    if (examples.length === 0) {
      this.#text.focus();
      throw new Error("there is nothing to learn: paste some text, or questions and answers");
    }
    return model.info.hasChatTemplate ? forChat(examples) : examples;
  }

  #options(model: Model): TrainOptions {
    const [steps, learningRate, batchSize, rank] = [this.#steps, this.#rate, this.#batch, this.#rank].map(numberOf);
    return {
      run: this.#stored.freeName("lesson"),
      ...(steps !== undefined && { steps }),
      ...(learningRate !== undefined && { learningRate }),
      ...(batchSize !== undefined && { batchSize }),
      // A further lesson goes on with the adapter that is there, whose rank is its own.
      ...(rank !== undefined && model.info.trainableParameters === 0 && { rank }),
    };
  }

  #take(step: TrainStep): void {
    this.#losses.push(step.loss);
    this.#bar.value = step.step / step.steps;
    if (step.heldOutLoss !== undefined) this.#held = ` · held out ${step.heldOutLoss.toFixed(3)}`;
    this.#line.textContent = `Step ${step.step} of ${step.steps} · loss ${step.loss.toFixed(3)}${this.#held} · ${rate(step.tokensPerSecond)}`;
    this.#chart.draw(this.#losses.map((_, index) => index + 1), [{ label: "", values: this.#losses }]);
    if (step.warning !== undefined) {
      this.#note.hidden = false;
      this.#note.textContent = step.warning;
    }
  }
}
