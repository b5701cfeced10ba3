// What is seen of a run, LADDER or test-time: progress, curves, tree, answers.

import type { Event as RunEvent } from "stepladder";
import { Chart } from "./chart.js";
import { card, h } from "./dom.js";
import { duration, percent, rate } from "./format.js";
import { RunState, type AnsweredSample } from "./run-state.js";
import { SampleList } from "./samples.js";
import { TreeView } from "./tree.js";

export class RunView {
  readonly element: HTMLElement;
  state = new RunState();
  readonly #line = h("p", { class: "progress-line", role: "status" });
  readonly #bar = h("progress", { max: 1, value: 0, "aria-label": "Steps done" });
  readonly #reward = new Chart("Reward", (value) => value.toFixed(2));
  readonly #pass = new Chart("Pass rate by level", percent, { range: [0, 1] });
  readonly #kl = new Chart("KL to the base model", (value) => value.toFixed(3));
  readonly #speed = new Chart("Speed", rate, { tick: (value) => String(Math.round(value)) });
  readonly #samples = new SampleList();
  readonly #samplesTitle = h("p", { class: "muted" });
  readonly #tree = new TreeView((node) => {
    this.#chosen = this.#chosen === node.id ? undefined : node.id;
    this.#drawSamples();
  });
  readonly #warnings = h("ul", { class: "warnings" });
  #chosen: number | undefined;
  #scheduled = false;
  #announced = 0;
  #said = false;

  constructor(before?: HTMLElement) {
    this.element = h(
      "div",
      { class: "run" },
      h("div", { class: "progress" }, this.#line, this.#bar, this.#warnings),
      before,
      card("Curves", {}, h("div", { class: "charts" }, this.#reward.element, this.#pass.element, this.#kl.element, this.#speed.element)),
      card("Variants", { class: "wide" }, h("p", { class: "muted" }, "Each square is a problem; below it, the easier ones that the model wrote for itself."), this.#tree.element),
      card("Answers", {}, this.#samplesTitle, this.#samples.element),
    );
    this.reset();
  }

  reset(): void {
    this.state = new RunState();
    this.#chosen = undefined;
    this.#announced = 0;
    this.#said = false;
    this.#draw();
  }

  /** Takes an event; what it changes is drawn once a frame at most. */
  apply(event: RunEvent): void {
    this.state.apply(event);
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  /** Shows a text that stays, whatever events are still on their way, until `goOn` or `reset`. */
  say(text: string): void {
    this.#said = true;
    this.#line.textContent = text;
  }

  /** Lets the progress line follow the events again. */
  goOn(): void {
    this.#said = false;
  }

  #draw(): void {
    const { state } = this;
    const last = state.lastStep;
    const steps = state.steps.map((step) => step.step);
    this.#bar.value = last ? last.step / Math.max(1, last.steps) : 0;
    // Screen readers hear of steps, not of every answer.
    const now = performance.now();
    if (!this.#said && state.finished === undefined && now - this.#announced > 900) {
      this.#announced = now;
      const left = last ? ` · about ${duration(last.remaining)} left` : "";
      this.#line.textContent = `${last ? `Step ${last.step} of ${last.steps} · ` : ""}${state.activity}${left}`;
    }
    const one = (values: (number | null)[]) => [{ label: "", values }];
    this.#drawRewards(steps);
    const kl = state.steps.map((step) => (state.measuresKl ? step.kl : null));
    this.#kl.draw(steps, one(kl), state.measuresKl ? undefined : "not measured");
    this.#speed.draw(steps, one(state.steps.map((step) => step.tokens_per_second)));
    this.#drawPassRates(steps);
    this.#tree.draw(state.task, state.nodes.values());
    this.#drawSamples();
    this.#warnings.replaceChildren(...state.warnings.map((text) => h("li", {}, text)));
  }

  /** The whole reward, and its parts where there are several; the logs of older runs tell none. */
  #drawRewards(steps: number[]): void {
    const all = this.state.steps;
    const names = [...new Set(all.flatMap((step) => Object.keys(step.rewards ?? {})))].sort();
    const parts = names.length < 2 ? [] : names.map((name, index) => ({
      label: name,
      weight: 0.6 * (1 - index / names.length),
      values: all.map((step) => step.rewards?.[name]?.mean ?? null),
    }));
    this.#reward.draw(steps, [{ label: parts.length > 0 ? "all" : "", values: all.map((step) => step.reward_mean) }, ...parts]);
  }

  #drawPassRates(steps: number[]): void {
    const { state } = this;
    const levelled = state.steps.some((step) => step.by_level.length > 0);
    const rates = (step: (typeof state.steps)[number]) => (levelled ? step.by_level : step.by_depth);
    const keys = [...new Set(state.steps.flatMap((step) => rates(step).map((entry) => entry.key)))].sort((a, b) => a - b);
    const lines = keys.map((key, index) => ({
      label: `${levelled ? "level" : "depth"} ${key}`,
      weight: keys.length === 1 ? 1 : index / (keys.length - 1),
      values: state.steps.map((step) => {
        const entry = rates(step).find((found) => found.key === key);
        return entry && entry.samples > 0 ? entry.correct / entry.samples : null;
      }),
    }));
    this.#pass.draw(steps, lines.length > 0 ? lines : [{ label: "", values: state.steps.map((step) => step.pass_rate) }]);
  }

  #drawSamples(): void {
    const node = this.#chosen === undefined ? undefined : this.state.nodes.get(this.#chosen);
    const chosen = (sample: AnsweredSample) => node === undefined || sample.node === node.id;
    this.#samplesTitle.textContent = node ? `Answers to ${node.problem}` : "The latest answers, one right and one not of each problem";
    this.#samples.draw(this.state.task, this.state.samples.filter(chosen));
  }
}
