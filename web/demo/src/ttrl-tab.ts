// One problem of the visitor's, learned on until there is an answer.

import { removeRun, runLog, type StoredRun, type TaskInfo, type TtrlOptions, type TtrlResult } from "stepladder";
import { Alert } from "./alert.js";
import { button, card, field, h, numberInput, numberOf } from "./dom.js";
import { answer as answerFormula, problem as formula } from "./formula.js";
import { RunControl } from "./run-control.js";
import { RunView } from "./run-view.js";
import { badge } from "./samples.js";
import type { Session } from "./session.js";
import { StoredRuns } from "./stored-runs.js";
import { TaskForm } from "./task-form.js";

const SOFTWARE = { prompts_per_step: 4, group_size: 4, "variants.per_node": 4, "variants.parents_per_level": 4 };

export class TtrlTab {
  readonly panel: HTMLElement;
  readonly #alert = new Alert();
  readonly #problem = h("input", { type: "text", id: "ttrl-problem", value: "(x+3)*cos(2*x)", autocomplete: "off", spellcheck: "false" });
  readonly #preview = h("output", { class: "preview" });
  readonly #steps = numberInput(10, { min: 1, step: 1, id: "ttrl-steps" });
  readonly #votes = numberInput(16, { min: 1, step: 1, id: "ttrl-votes" });
  readonly #keep = h("input", { type: "checkbox" });
  readonly #task = new TaskForm(() => this.#show());
  readonly #start = button("Work on it", () => void this.#solve(), { class: "primary", id: "ttrl-start" });
  readonly #result = card("Answer", { class: "answer-card", hidden: true, id: "ttrl-answer", role: "status" });
  readonly #view = new RunView(this.#result);
  readonly #control = new RunControl("ttrl", this.#alert, this.#view);
  readonly #stored: StoredRuns;

  constructor(
    private readonly session: Session,
    tasks: Promise<TaskInfo[]>,
  ) {
    void tasks.then((list) => this.#task.fill(list), () => undefined);
    this.#problem.addEventListener("input", () => this.#show());
    const form = card(
      "One hard problem",
      {},
      h("p", { class: "muted" }, "The model makes easier variants of just this problem, practises on them with a temporary adapter, and then votes on the answer."),
      this.#task.element,
      field("Problem", this.#problem),
      this.#preview,
      h("div", { class: "row" }, field("Steps", this.#steps), field("Votes", this.#votes), field("Keep what was learned", this.#keep)),
      h("div", { class: "buttons" }, this.#start, this.#control.pause, this.#control.stop),
    );
    this.#stored = new StoredRuns(session, "ttrl", this.#alert, (run) => void this.#solve(run));
    this.panel = h("section", { class: "panel ladder" }, this.#alert.element, h("div", { class: "aside" }, form, this.#stored.element), h("div", { class: "stage" }, this.#view.element));
    this.#view.say("Load a model first, in the tab Model.");
    session.watch(({ model, busy }) => {
      this.#start.disabled = model === undefined || busy !== undefined;
      if (model && busy === undefined && this.#view.state.task === "") this.#view.say(`${model.info.name} is ready.`);
    });
  }

  #show(): void {
    this.#preview.replaceChildren(formula(this.#task.name, this.#problem.value.trim()));
  }

  /** Works on the form's problem, or goes on with a kept one. */
  async #solve(kept?: StoredRun): Promise<void> {
    const { model } = this.session.state;
    if (!model) return;
    await this.#alert.guard(async () => {
      const options = kept === undefined ? this.#options(model.info.name, model.info.gpu.software) : this.#goingOn(kept);
      const problem = options.problem as string;
      const run = options.run ?? "";
      this.#result.hidden = true;
      this.#view.reset();
      try {
        await this.session.occupy("work on one problem", async () => {
          if (kept !== undefined) {
            const log = await runLog(run);
            if (log.kind === "ttrl") for (const event of log.events) this.#view.apply(event);
          }
          const work = model.ttrl(options);
          this.#control.begin(work);
          for await (const event of work) this.#view.apply(event);
          const task = this.#view.state.task;
          this.#showAnswer(task, problem, await work.result);
          if (model.info.trainableParameters > 0) this.session.update({ trained: true });
          // The answer is what it was for.
          await removeRun(run);
        });
        this.#view.say("Done.");
      } catch (error) {
        this.#view.say("Stopped. It can go on from its last checkpoint.");
        throw error;
      } finally {
        this.#control.end();
        void this.#stored.refresh();
      }
    });
  }

  /** What the form says. */
  #options(model: string, software: boolean): TtrlOptions {
    const problem = this.#problem.value.trim();
    if (problem === "") {
      this.#problem.focus();
      throw new Error("there is no problem: type one, such as x*cos(2*x)");
    }
    const [steps, votes] = [this.#steps, this.#votes].map(numberOf);
    return {
      task: this.#task.choice,
      problem,
      preset: model === "tiny" ? "tiny" : "small",
      keep: this.#keep.checked,
      run: this.#stored.freeName("ttrl"),
      ...(software && { settings: SOFTWARE }),
      ...(steps !== undefined && { steps }),
      ...(votes !== undefined && { votes }),
    };
  }

  #goingOn(kept: StoredRun): TtrlOptions {
    const problem = kept.problem ?? "";
    this.#problem.value = problem;
    this.#show();
    return { task: kept.task ?? this.#task.choice, problem, run: kept.name, resume: true };
  }

  #showAnswer(task: string, problem: string, result: TtrlResult): void {
    const heading = this.#result.querySelector("h3") as HTMLElement;
    const most = Math.max(1, ...result.votes.map((vote) => vote.count));
    const votes = result.votes.slice(0, 5).map((vote) =>
      h("li", {}, answerFormula(task, vote.answer), h("meter", { min: 0, max: most, value: vote.count, "aria-label": `${vote.answer}: ${vote.count} votes` }), h("span", { class: "muted" }, `${vote.count}`)),
    );
    this.#result.replaceChildren(
      heading,
      h("p", { class: "solution" }, formula(task, problem), " = ", result.answer === undefined ? "no answer was found" : answerFormula(task, result.answer), " ", result.verdict && badge(result.verdict.verdict)),
      h("p", { class: "reason" }, result.verdict?.reason),
      h("h4", {}, `Votes after ${result.steps} ${result.steps === 1 ? "step" : "steps"}`),
      h("ol", { class: "votes" }, ...votes),
    );
    this.#result.hidden = false;
  }
}
