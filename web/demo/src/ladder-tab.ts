// A model improving itself, watched.

import { runLog, type Event as RunEvent, type LadderOptions, type TaskInfo } from "stepladder";
import { Alert } from "./alert.js";
import { BeforeAfter } from "./before-after.js";
import { button, h, saveFile } from "./dom.js";
import { LadderForm } from "./ladder-form.js";
import { RunControl } from "./run-control.js";
import { RunView } from "./run-view.js";
import type { Session } from "./session.js";
import { StoredRuns } from "./stored-runs.js";
import { zipped } from "./zip.js";

const REASONS: Record<string, string> = {
  completed: "Done.",
  token_budget: "Ended: the budget of tokens is spent.",
  cancelled: "Stopped. It can go on from its last checkpoint.",
  diverged: "Ended: the updates were not finite several times in a row. A lower learning rate helps.",
};

export class LadderTab {
  readonly panel: HTMLElement;
  readonly #alert = new Alert();
  readonly #start = button("Start", () => void this.start(), { class: "primary", id: "ladder-start" });
  readonly #form: LadderForm;
  readonly #comparison = new BeforeAfter();
  readonly #adapter = button("Download the adapter", () => void this.#alert.guard(() => this.#saveAdapter()), { id: "ladder-adapter" });
  readonly #report = button("Download the report", () => void this.#alert.guard(() => this.#saveReport()), { id: "ladder-report" });
  readonly #chat = button("Compare in the chat", () => this.session.show("chat"), { class: "quiet" });
  readonly #downloads = h("div", { class: "buttons" }, this.#adapter, this.#report, this.#chat);
  readonly #view = new RunView(h("div", { class: "stage" }, this.#downloads, this.#comparison.element));
  readonly #control = new RunControl("ladder", this.#alert, this.#view);
  readonly #stored: StoredRuns;

  constructor(
    private readonly session: Session,
    tasks: Promise<TaskInfo[]>,
  ) {
    this.#form = new LadderForm(tasks, h("div", { class: "buttons" }, this.#start, this.#control.pause, this.#control.stop), this.#alert);
    this.#stored = new StoredRuns(session, "ladder", this.#alert, (run) => void this.start({ run: run.name, resume: true, steps: run.steps, ...(run.task && { task: run.task }) }), "Use again");
    this.#downloads.hidden = true;
    this.panel = h(
      "section",
      { class: "panel ladder" },
      this.#alert.element,
      h("div", { class: "aside" }, this.#form.element, this.#stored.element),
      h("div", { class: "stage" }, this.#view.element),
    );
    this.#view.say("Load a model first, in the tab Model.");
    session.watch(({ model, busy }) => {
      this.#start.disabled = model === undefined || busy !== undefined;
      if (model) this.#form.prepare(model);
      if (model && busy === undefined && this.#view.state.task === "") this.#view.say(`${model.info.name} is ready.`);
    });
  }

  /** Starts what the form says, or goes on with a kept run. */
  async start(change: Partial<LadderOptions> = {}): Promise<void> {
    await this.#form.ready;
    const { model } = this.session.state;
    if (!model) return;
    await this.#alert.guard(async () => {
      // A run that goes on has its own task, problems and settings.
      const options: LadderOptions = change.resume ? { task: "integral", problems: [], ...change } : { ...this.#form.options, ...change };
      // A run under a name that is taken gets another: going on is the other button.
      if (!options.resume && options.run) options.run = this.#stored.freeName(options.run);
      this.#view.reset();
      this.#comparison.reset();
      this.#downloads.hidden = true;
      try {
        await this.session.occupy("a LADDER run", async () => {
          if (options.resume && options.run) await this.#replay(options.run);
          const run = model.ladder(options);
          this.#control.begin(run);
          for await (const event of run) this.#take(event);
          const result = await run.result;
          this.#comparison.finish(result.before, result.after);
          this.#view.say(REASONS[result.reason] ?? result.reason);
          this.session.update({ trained: true });
        });
        this.#downloads.hidden = false;
      } catch (error) {
        this.#view.say("The run ended early.");
        throw error;
      } finally {
        this.#control.end();
        void this.#stored.refresh();
      }
    });
  }

  #take(event: RunEvent): void {
    this.#view.apply(event);
    if (event.type === "evaluated") this.#comparison.evaluated(event);
  }

  /** Shows what a run told before it was cut off. */
  async #replay(run: string): Promise<void> {
    const log = await runLog(run);
    if (log.kind !== "train") for (const event of log.events) this.#take(event);
  }

  async #saveAdapter(): Promise<void> {
    const files = await this.session.state.model?.adapter.save();
    if (files) saveFile("adapter.zip", "application/zip", [await zipped(files)]);
  }

  async #saveReport(): Promise<void> {
    const report = await this.session.state.model?.report();
    if (report !== undefined) saveFile("report.html", "text/html", [report]);
  }
}
