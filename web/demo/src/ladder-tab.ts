// A model improving itself, watched.

import { StepladderError, listRuns, removeRun, type Event as RunEvent, type LadderOptions, type LadderResult, type Run, type StoredRun, type TaskInfo } from "stepladder";
import { Alert } from "./alert.js";
import { BeforeAfter } from "./before-after.js";
import { button, card, h, saveFile } from "./dom.js";
import { bytes } from "./format.js";
import { LadderForm } from "./ladder-form.js";
import { RunView } from "./run-view.js";
import type { Session } from "./session.js";
import { zip } from "./zip.js";

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
  readonly #pause = button("Pause", () => void this.#alert.guard(() => this.#togglePause()), { disabled: true, id: "ladder-pause" });
  readonly #stop = button("Stop", () => void this.#alert.guard(async () => this.#run?.stop()), { disabled: true, id: "ladder-stop" });
  readonly #form: LadderForm;
  readonly #comparison = new BeforeAfter();
  readonly #stored = h("ul", { class: "list" });
  readonly #storedCard = card("Runs kept in this browser", { class: "stored" }, this.#stored);
  readonly #adapter = button("Download the adapter", () => void this.#alert.guard(() => this.#saveAdapter()), { id: "ladder-adapter" });
  readonly #report = button("Download the report", () => void this.#alert.guard(() => this.#saveReport()), { id: "ladder-report" });
  readonly #chat = button("Compare in the chat", () => this.session.show("chat"), { class: "quiet" });
  readonly #downloads = h("div", { class: "buttons" }, this.#adapter, this.#report, this.#chat);
  readonly #view = new RunView(h("div", { class: "stage" }, this.#downloads, this.#comparison.element));
  #run: Run<LadderResult> | undefined;
  #paused = false;
  #runs: StoredRun[] = [];

  constructor(
    private readonly session: Session,
    tasks: Promise<TaskInfo[]>,
  ) {
    this.#form = new LadderForm(tasks, h("div", { class: "buttons" }, this.#start, this.#pause, this.#stop));
    this.#downloads.hidden = true;
    this.panel = h(
      "section",
      { class: "panel ladder" },
      this.#alert.element,
      h("div", { class: "aside" }, this.#form.element, this.#storedCard),
      h("div", { class: "stage" }, this.#view.element),
    );
    this.#view.say("Load a model first, in the tab Model.");
    session.watch(({ model, busy }) => {
      this.#start.disabled = model === undefined || busy !== undefined;
      if (model) this.#form.prepare(model);
      if (model && busy === undefined && this.#view.state.task === "") this.#view.say(`${model.info.name} is ready.`);
      this.#drawRuns();
    });
    void this.#listRuns();
  }

  /** Starts what the form says, or goes on with a kept run. */
  async start(change: Partial<LadderOptions> = {}): Promise<void> {
    await this.#form.ready;
    const { model } = this.session.state;
    if (!model) return;
    await this.#alert.guard(async () => {
      const options = { ...this.#form.options, ...change };
      this.#view.reset();
      this.#comparison.reset();
      this.#downloads.hidden = true;
      this.#buttons(true);
      try {
        await this.session.occupy("a LADDER run", async () => {
          // A run under a name that is taken starts anew: going on is the other button.
          if (!change.resume && this.#runs.some((run) => run.name === options.run)) await removeRun(options.run ?? "");
          this.#run = model.ladder(options);
          for await (const event of this.#run) this.#take(event);
          const result = await this.#run.result;
          this.#comparison.finish(result.before, result.after);
          this.#view.say(REASONS[result.reason] ?? result.reason);
          this.session.update({ trained: true });
        });
        this.#downloads.hidden = false;
      } catch (error) {
        this.#view.say("The run ended early.");
        throw error;
      } finally {
        this.#run = undefined;
        this.#buttons(false);
        void this.#listRuns();
      }
    });
  }

  #take(event: RunEvent): void {
    this.#view.apply(event);
    if (event.type === "evaluated") this.#comparison.evaluated(event);
  }

  async #togglePause(): Promise<void> {
    if (!this.#run) return;
    this.#paused = !this.#paused;
    this.#pause.disabled = true;
    this.#pause.textContent = this.#paused ? "Resume" : "Pause";
    if (this.#paused) {
      this.#view.say("Pausing after a checkpoint …");
      await this.#run.pause();
      this.#view.say("Paused. The GPU is free; the model stays loaded.");
    } else {
      await this.#run.resume();
      this.#view.say("Going on …");
      this.#view.goOn();
    }
    this.#pause.disabled = this.#run === undefined;
  }

  #buttons(running: boolean): void {
    this.#pause.disabled = this.#stop.disabled = !running;
    this.#pause.textContent = "Pause";
    this.#paused = false;
  }

  async #saveAdapter(): Promise<void> {
    const files = await this.session.state.model?.adapter.save();
    if (files) saveFile("adapter.zip", "application/zip", zip(files));
  }

  async #saveReport(): Promise<void> {
    const report = await this.session.state.model?.report();
    if (report !== undefined) saveFile("report.html", "text/html", [report]);
  }

  async #listRuns(): Promise<void> {
    try {
      this.#runs = await listRuns();
    } catch (error) {
      this.#runs = [];
      if (!(error instanceof StepladderError && error.code === "storage")) this.#alert.show(error);
    }
    this.#drawRuns();
  }

  #drawRuns(): void {
    this.#storedCard.hidden = this.#runs.length === 0;
    const { model, busy } = this.session.state;
    this.#stored.replaceChildren(
      ...this.#runs.map((run) => {
        const goOn = button("Go on", () => void this.start({ run: run.name, resume: true, steps: run.steps }), {
          class: "quiet go-on",
          disabled: model === undefined || busy !== undefined || run.finished,
          "aria-label": `Go on with ${run.name}`,
        });
        const remove = button("Delete", () => void this.#alert.guard(() => removeRun(run.name).then(() => this.#listRuns())), {
          class: "quiet",
          disabled: busy !== undefined,
          "aria-label": `Delete ${run.name}`,
        });
        const what = `${run.model}, step ${run.step} of ${run.steps}, ${bytes(run.bytes)}${run.finished ? ", finished" : ""}`;
        return h("li", {}, h("span", { class: "name" }, run.name), h("span", { class: "muted" }, what), goOn, remove);
      }),
    );
  }
}
