// The parts of a run's events that the page shows.

import type { Verdict } from "stepladder";

export interface Counts {
  correct: number;
  wrong: number;
  malformed: number;
  unverifiable: number;
  truncated: number;
}
export interface Sample {
  text: string;
  verdict: Verdict;
  tokens: number;
  finished: boolean;
}
interface Rate {
  key: number;
  samples: number;
  correct: number;
}
export type NodeKind = "root" | "easier" | "equivalent" | "harder";

export type RunEvent =
  | { type: "started"; task: string; roots: number; held_out: number; resumed_from?: number; policy: { trainable_parameters: number } }
  | { type: "variants"; step: number; parent: number; problem: string; variants: { id: number | null; problem: string; kind: NodeKind; rejection: string | null }[] }
  | { type: "rollout"; step: number; phase: "variants" | "training" | "evaluation" | "vote"; done: number; total: number; tokens_per_second: number }
  | { type: "verified"; step: number; node: number; problem: string; depth: number; counts: Counts; reward_mean: number | null; estimate: number; samples: Sample[] }
  | {
      type: "step"; step: number; steps: number; loss: number | null; kl: number | null; reward_mean: number | null; pass_rate: number | null;
      by_level: Rate[]; by_depth: Rate[]; tokens_per_second: number; remaining: number; nodes: number; seconds: number;
    }
  | { type: "evaluated"; step: number; n: number; samples: number; pass_at: Record<string, number>; ci95: [number, number]; by_level: { level: number | null; n: number; pass_at_1: number }[]; examples: { problem: string; level: number | null; sample: Sample }[] }
  | { type: "checkpoint"; step: number }
  | { type: "warning"; step: number; code: string; message: string }
  | { type: "finished"; reason: string; step: number; elapsed: number; before: { pass_at_1: number } | null; after: { pass_at_1: number } | null }
  | { type: "downloading" }
  | { type: "loaded" };
