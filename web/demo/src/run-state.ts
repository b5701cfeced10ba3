// A run as its events tell it: the state that curves, tree and samples are drawn from.

import type { Event as RunEvent, JudgedSample, NodeKind } from "stepladder";

export interface TreeNode {
  id: number;
  parent: number | undefined;
  problem: string;
  kind: NodeKind;
  attempts: number;
  correct: number;
  /** Estimated pass rate; none before the first answer. */
  estimate: number | undefined;
}

export interface AnsweredSample {
  problem: string;
  node: number | undefined;
  sample: JudgedSample;
}

export interface Evaluation {
  step: number;
  passRate: number;
  interval: [number, number];
  n: number;
}

type StepEvent = Extract<RunEvent, { type: "step" }>;

const KEPT_SAMPLES = 40;

export class RunState {
  task = "";
  /** Whether the distance to the base model is measured: only a run that is pulled towards it does. */
  measuresKl = true;
  steps: StepEvent[] = [];
  readonly nodes = new Map<number, TreeNode>();
  samples: AnsweredSample[] = [];
  evaluations: Evaluation[] = [];
  warnings: string[] = [];
  /** What happens now, in words. */
  activity = "starting";
  checkpoint: number | undefined;
  finished: string | undefined;

  apply(event: RunEvent): void {
    switch (event.type) {
      case "started":
        this.task = event.task;
        this.measuresKl = event.settings.loss.kl !== null;
        this.activity = event.resumed_from === undefined ? "started" : `going on from step ${event.resumed_from}`;
        return;
      case "variants":
        this.#node(event.parent, event.problem);
        for (const variant of event.variants) {
          if (variant.id === null) continue;
          const node = this.#node(variant.id, variant.problem);
          [node.parent, node.kind] = [event.parent, variant.kind];
        }
        this.activity = `variants of ${event.problem}`;
        return;
      case "rollout":
        this.activity = `${PHASES[event.phase]}, ${event.done} of ${event.total}`;
        return;
      case "verified":
        this.#verified(event);
        return;
      case "step":
        this.steps = [...this.steps.filter((step) => step.step < event.step), event];
        this.activity = "learning";
        return;
      case "evaluated": {
        const evaluation = { step: event.step, passRate: event.pass_at["1"] ?? 0, interval: event.ci95, n: event.n };
        this.evaluations = [...this.evaluations.filter((known) => known.step !== event.step), evaluation];
        return;
      }
      case "checkpoint":
        this.checkpoint = event.step;
        return;
      case "warning":
        this.warnings = [...this.warnings.filter((message) => message !== event.message), event.message].slice(-5);
        return;
      case "finished":
        this.finished = event.reason;
    }
  }

  get lastStep(): StepEvent | undefined {
    return this.steps.at(-1);
  }

  #verified(event: Extract<RunEvent, { type: "verified" }>): void {
    const node = this.#node(event.node, event.problem);
    node.attempts += event.counts.correct + event.counts.wrong + event.counts.malformed + (event.counts.scored ?? 0);
    node.correct += event.counts.correct;
    node.estimate = event.estimate;
    const fresh = event.samples.map((sample) => ({ problem: event.problem, node: event.node, sample }));
    this.samples = [...fresh, ...this.samples].slice(0, KEPT_SAMPLES);
    this.activity = "checking answers";
  }

  #node(id: number, problem: string): TreeNode {
    let node = this.nodes.get(id);
    if (!node) {
      node = { id, parent: undefined, problem, kind: "root", attempts: 0, correct: 0, estimate: undefined };
      this.nodes.set(id, node);
    }
    return node;
  }
}

const PHASES = {
  variants: "writing variants",
  training: "answering problems",
  evaluation: "answering held-out problems",
  vote: "answering for the vote",
};
