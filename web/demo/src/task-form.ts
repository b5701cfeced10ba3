// A task's form, made from the parameters that it declares.

import type { TaskChoice, TaskInfo } from "stepladder";
import { field, h } from "./dom.js";

const NAMES: Record<string, string> = { integral: "Integrals", countdown: "Countdown numbers", jsonl: "Questions with known answers" };

export class TaskForm {
  readonly #select = h("select", { class: "task" });
  readonly #parameters = h("div", { class: "row" });
  readonly element = h("div", { class: "task-form" }, field("Task", this.#select), this.#parameters);
  #tasks: TaskInfo[] = [];
  #inputs = new Map<string, HTMLInputElement>();

  constructor(private readonly onChange: (task: string) => void = () => undefined) {
    this.#select.addEventListener("change", () => this.#chosen());
  }

  /** Fills the list. A page cannot start programs, so the task that does is left out. */
  fill(tasks: TaskInfo[]): void {
    this.#tasks = tasks.filter((task) => task.name !== "command");
    this.#select.replaceChildren(...this.#tasks.map((task) => h("option", { value: task.name }, NAMES[task.name] ?? task.name)));
    this.#select.value = "integral";
    this.#chosen();
  }

  get name(): string {
    return this.#select.value;
  }

  choose(name: string): void {
    this.#select.value = name;
    this.#chosen();
  }

  get choice(): TaskChoice {
    const options = Object.fromEntries([...this.#inputs].map(([name, input]) => [name, input.value.trim()]));
    return { name: this.name, options };
  }

  #chosen(): void {
    const task = this.#tasks.find((known) => known.name === this.name);
    this.#inputs = new Map(
      (task?.parameters ?? []).map((parameter) => [parameter.name, h("input", { type: "text", value: parameter.default, autocomplete: "off" })]),
    );
    this.#parameters.replaceChildren(
      ...(task?.parameters ?? []).map((parameter) => {
        const label = parameter.name.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
        return field(label, this.#inputs.get(parameter.name) as HTMLInputElement, parameter.doc.replaceAll("`", ""));
      }),
    );
    this.onChange(this.name);
  }
}

/** Lines `PATH=VALUE`, as the command line's `--set` takes them. */
export function parseSettings(text: string): Record<string, string> {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw new Error(`the setting \`${line}\` needs the form PATH=VALUE, such as learning_rate=0.001`);
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}
