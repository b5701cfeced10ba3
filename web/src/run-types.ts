// Runs: what they are given, what they tell, and how they are kept.

import type { Event, Preset, TrainSettings, Verdict } from "./events.js";
import type { Problem, TaskChoice } from "./types.js";

/** The calls whose runs can be kept in this browser's store. */
export type RunKind = "train" | "ladder" | "ttrl";

/** What is left out is as for `stepladder train` (see its `--help`), but for checkpoints. */
export interface TrainOptions extends TrainSettings {
  /** Any setting by its path, as in `stepladder train --set PATH=VALUE`; a text is read as that option reads it. */
  settings?: Record<string, SettingValue>;
  /** Name of the run in this browser's store; a run of that name that was cut off goes on with `resume`, on its own examples. */
  run?: string;
  resume?: boolean;
  /** Replace a finished run of that name; until the new one's first checkpoint after a step the old one is kept. */
  overwrite?: boolean;
  signal?: AbortSignal;
}

export interface TrainStep {
  step: number;
  steps: number;
  loss: number;
  gradNorm: number;
  learningRate: number;
  tokens: number;
  tokensPerSecond: number;
  /** Mean loss of what is held out, after the last step of an epoch. */
  heldOutLoss?: number;
  /** What the user should know, such as that the browser has no space for checkpoints any more. */
  warning?: string;
}

/** The value of a setting: what JSON can say. */
export type SettingValue = string | number | boolean | null | readonly SettingValue[] | { readonly [name: string]: SettingValue };

export interface LadderOptions {
  task: TaskChoice;
  problems: readonly (string | Problem)[];
  heldOut?: readonly (string | Problem)[];
  preset?: Preset;
  /** Any setting by its path, as in `stepladder ladder --set PATH=VALUE`; a text is read as that option reads it. */
  settings?: Record<string, SettingValue>;
  steps?: number;
  seed?: number;
  /** Name of the run in this browser's store; a run of that name that was cut off goes on with `resume`. */
  run?: string;
  resume?: boolean;
  /** Replace a finished run of that name; until the new one's first checkpoint after a step the old one is kept. */
  overwrite?: boolean;
  signal?: AbortSignal;
}

export interface TtrlOptions {
  task: TaskChoice;
  problem: string | Problem;
  preset?: Preset;
  settings?: Record<string, SettingValue>;
  steps?: number;
  votes?: number;
  seed?: number;
  /** Keep what was learned for this question in the current adapter (default false). */
  keep?: boolean;
  /** Name of the run in this browser's store; a run of that name that was cut off goes on with `resume`. */
  run?: string;
  resume?: boolean;
  /** Replace a finished run of that name; until the new one's first checkpoint after a step the old one is kept. */
  overwrite?: boolean;
  signal?: AbortSignal;
}

/** A run's events, and its end. Leaving the loop stops the run; so does the signal. */
export interface Run<Result> extends AsyncIterable<Event> {
  /** Stops at the next opportunity and stands at its last checkpoint; the model stays loaded. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  stop(): Promise<void>;
  readonly result: Promise<Result>;
}

export interface LadderResult {
  reason: string;
  step: number;
  before: number | undefined;
  after: number | undefined;
}

export interface TtrlResult {
  answer: string | undefined;
  verdict: Verdict | undefined;
  votes: { answer: string; count: number }[];
  steps: number;
}

/** A run kept in this browser's store. */
export interface StoredRun {
  name: string;
  kind: RunKind;
  step: number;
  steps: number;
  model: string;
  bytes: number;
  finished: boolean;
  /** The one problem of test-time learning. */
  problem?: string;
  /** The task of LADDER and of test-time learning: give it again to go on. */
  task?: { name: string; options: Record<string, string> };
}

/** What a stored run has told up to its last checkpoint: where it goes on. */
export type RunLog = { kind: "ladder" | "ttrl"; events: Event[] } | { kind: "train"; events: TrainStep[] };
