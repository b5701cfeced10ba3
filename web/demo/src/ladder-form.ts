// What a LADDER run is given: task, problems, length, settings.

import type { LadderOptions, Model, Preset } from "stepladder";
import type { Alert } from "./alert.js";
import { card, field, h, numberInput, numberOf } from "./dom.js";
import { asText, bundled, parseProblems, thinned } from "./problems.js";
import { describe, example } from "./setting-fields.js";
import { parseSettings, TaskForm } from "./task-form.js";

const PLACEHOLDERS: Record<string, string> = {
  integral: "x*sin(2*x)\n(x-2)*exp(3*x)",
  countdown: "numbers 3 5 7 25, target 82",
  jsonl: '{"problem": "What is 17 * 23?", "answer": "391"}',
};

/** Every preset, the smallest first; one that is missing does not compile. */
const PRESETS = Object.keys({ tiny: 0, software: 0, small: 0, paper: 0 } satisfies Record<Preset, 0>);

/** Steps and sizes that end within minutes where the GPU is only imitated by the processor. */
const SOFTWARE = { steps: 6, roots: 16, heldOut: 24, settings: "prompts_per_step=8\nevaluation.samples=2\nvariants.per_node=4" };

export class LadderForm {
  readonly #task = new TaskForm((name) => this.#placeholder(name));
  readonly #problems = h("textarea", { rows: 6, id: "ladder-problems", spellcheck: "false" });
  readonly #heldOut = h("textarea", { rows: 4, id: "ladder-heldout", spellcheck: "false" });
  readonly #steps = numberInput("", { step: 1, id: "ladder-steps" });
  readonly #seed = numberInput(0, { step: 1 });
  readonly #preset = h("select", {}, ...PRESETS.map((value) => h("option", { value }, value)));
  readonly #settings = h("textarea", { rows: 3, id: "ladder-settings", spellcheck: "false" });
  readonly #run = h("input", { type: "text", id: "ladder-run", autocomplete: "off", value: "ladder", pattern: "[A-Za-z0-9._\\-]+" });
  readonly element: HTMLElement;
  readonly ready: Promise<void>;
  #prepared: Model | undefined;

  constructor(tasks: Promise<Parameters<TaskForm["fill"]>[0]>, actions: HTMLElement, alert: Alert) {
    for (const text of [this.#problems, this.#heldOut]) {
      text.addEventListener("drop", (event) => {
        const files = [...(event.dataTransfer?.files ?? [])];
        if (files.length === 0) return;
        event.preventDefault();
        void alert.guard(async () => {
          const lines = (await Promise.all(files.map((file) => file.text()))).map((part) => part.trim()).join("\n");
          parseProblems(lines);
          text.value = lines;
        });
      });
    }
    this.ready = tasks.then((list) => this.#task.fill(list));
    const more = h(
      "details",
      {},
      h("summary", {}, "Held-out problems, settings, name of the run"),
      field("Held-out problems", this.#heldOut, "Never learned from; answered before and after, for the comparison."),
      h("div", { class: "row" }, field("Preset", this.#preset), field("Seed", this.#seed), field("Name of the run", this.#run)),
      field("Settings, PATH=VALUE", this.#settings, "As --set takes them on the command line."),
    );
    for (const [element, event] of [[more, "toggle"], [this.#preset, "change"]] as const) {
      element.addEventListener(event, () => void alert.guard(() => this.#describe()));
    }
    this.element = card(
      "What to climb",
      {},
      this.#task.element,
      field("Problems, one a line", this.#problems, "Hard ones: the model makes its own easier variants. A level may follow as [level 6]; lines of JSON may hold an answer too. A file can be dropped here."),
      more,
      h("div", { class: "row" }, field("Steps", this.#steps), actions),
    );
  }

  /** Sets what suits a model, unless the visitor has set it. */
  prepare(model: Model): void {
    if (this.#prepared === model) return;
    this.#prepared = model;
    const { software } = model.info.gpu;
    const tiny = model.info.name === "tiny";
    this.#preset.value = tiny ? "tiny" : "small";
    this.#steps.value ||= String(software ? SOFTWARE.steps : tiny ? 40 : 100);
    this.#settings.value ||= software ? SOFTWARE.settings : "";
    if (this.#task.name !== "integral") return;
    this.#problems.value ||= asText(software ? thinned(bundled.train, SOFTWARE.roots) : bundled.train);
    this.#heldOut.value ||= asText(thinned(bundled.heldOut, software ? SOFTWARE.heldOut : 240));
  }

  get options(): LadderOptions {
    const problems = parseProblems(this.#problems.value);
    if (problems.length === 0) {
      this.#problems.focus();
      throw new Error("there is no problem to climb: write at least one, a line each");
    }
    const [steps, seed] = [this.#steps, this.#seed].map(numberOf);
    return {
      task: this.#task.choice,
      problems,
      heldOut: parseProblems(this.#heldOut.value),
      preset: this.#preset.value as Preset,
      settings: parseSettings(this.#settings.value),
      run: this.#run.value.trim() || "ladder",
      ...(steps !== undefined && { steps }),
      ...(seed !== undefined && { seed }),
    };
  }

  /** Shows what the preset has. */
  async #describe(): Promise<void> {
    const preset = this.#preset.value as Preset;
    await describe({ steps: this.#steps, seed: this.#seed }, "ladder", preset);
    const line = await example("learning_rate", "ladder", preset);
    if (this.#preset.value === preset) this.#settings.placeholder = line;
  }

  #placeholder(task: string): void {
    this.#problems.placeholder = PLACEHOLDERS[task] ?? "";
    // Bundled problems are integrals; another task starts from the visitor's own.
    if (task === "integral" || !this.#prepared) return;
    if (this.#problems.value.includes("[level ")) this.#problems.value = this.#heldOut.value = "";
  }
}
