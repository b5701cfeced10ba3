// What the package's functions take and give back. The events of runs are generated from the Rust enums (`events.ts`).

import type { VerdictKind } from "./events.js";
import type { Fit, Workload } from "./fit-types.js";
import type { Library } from "./library-types.js";
import type { LadderOptions, LadderResult, Run, TrainOptions, TrainStep, TtrlOptions, TtrlResult } from "./run-types.js";

export type * from "./fit-types.js";
export type * from "./library-types.js";
export type * from "./run-types.js";

/** Where a model comes from: the embedded `"tiny"`, `hf:OWNER/NAME[@REVISION]`, a URL, a `.gguf` file, or a folder. */
export type Source = "tiny" | string | URL | Blob | readonly File[] | FileSystemDirectoryHandle;

/** How far a download or a load has come. `cache` says that the bytes came from this browser's own store. */
export interface LoadProgress {
  stage: "download" | "cache" | "weights" | "ready";
  file: string;
  done: number;
  total: number | undefined;
}

export interface LoadOptions {
  onProgress?: (progress: LoadProgress) => void;
  signal?: AbortSignal;
  /** Keep downloads in the browser's private file system (default true). */
  cache?: boolean;
  /** Ask the server again for a model that is kept: what has changed there is downloaded anew (default false). */
  refresh?: boolean;
  /** Address of the hub for `hf:` sources (default https://huggingface.co). */
  endpoint?: string;
  /** Token for models that need one. */
  token?: string;
  /** Longest sequence, prompt and completion together (default 2048 or the model's own, if less). */
  contextLength?: number;
  /** How texts keep keys and values: `"f16"` halves their memory, and rounds log-probabilities in the fourth digit (default `"f32"`). */
  kvCache?: "f32" | "f16";
  /** Limits of the device as in a browser that offers no more than WebGPU's defaults; for tests. */
  defaultLimits?: boolean;
}

export interface GpuInfo {
  /** As far as the browser tells: its description, or vendor and architecture. */
  name: string;
  vendor: string;
  /** Runs on the CPU: correct but slow. */
  software: boolean;
  features: string[];
  limits: Record<string, number>;
}

export interface ModelInfo {
  name: string;
  family: string;
  parameters: number;
  trainableParameters: number;
  contextLength: number;
  vocabSize: number;
  layers: number;
  hasChatTemplate: boolean;
  /** Bytes on the GPU now. */
  gpuBytes: number;
  gpu: GpuInfo;
}

export interface SamplingOptions {
  maxTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  seed?: number;
  /** Use the trained adapter (default true); false is the base model. */
  adapter?: boolean;
  signal?: AbortSignal;
}

/** A piece of streamed text. The last piece has `done` with the whole completion. */
export interface Chunk {
  text: string;
  done?: Completion;
}

export interface Completion {
  text: string;
  tokens: number[];
  logprobs: number[];
  finishReason: "stop" | "length";
  tokensPerSecond: number;
  promptTokens: number;
  /** Tokens of the prompt that were not computed anew: what it begins with as the model's last text of this voice did. */
  cachedTokens: number;
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

/** A line of training data, as in the command line's files. */
export type Example = { text: string } | { prompt: string; completion: string } | { messages: Message[] };

export interface TaskInfo {
  name: string;
  parameters: { name: string; doc: string; default: string }[];
}

/** A task of the library by name and options, or a module of yours whose default export has a task's methods. */
export type TaskChoice = string | { name: string; options?: Record<string, string> } | { module: string | URL } | CustomTask;

/**
 * What a task says of a completion: right or wrong; a number in the task's range; several named ones, which the settings weigh
 * (`"reward.weights.NAME"`); `null` where it cannot tell, and the completion counts neither for nor against.
 */
export type Judgement =
  | boolean
  | number
  | null
  | {
      verdict?: VerdictKind | null;
      reward?: number | null;
      rewards?: Record<string, number | null> | null;
      reason?: string | null;
      /** The answer found in the completion, for votes. */
      answer?: string | null;
    };

/** A task written in JavaScript. Passed by `module` it runs beside the model, in the worker. It has `verify` or `verifyBatch`. */
export interface CustomTask {
  name: string;
  prompt(problem: string): string;
  verify?(problem: Problem, completion: string): Judgement | Promise<Judgement>;
  /** Judges many completions at once, in their order; is asked instead of `verify` where a task has both. */
  verifyBatch?(items: readonly { problem: Problem; completion: string }[]): Judgement[] | Promise<Judgement[]>;
  /** The numbers that it gives (default [0, 1]). */
  rewardRange?: [number, number];
  /** Seconds that a promise may take for one answer (default 10); what takes longer could not be judged. */
  timeLimit?: number;
  variantPrompt?(problem: string, request: { kind: string; count: number; transformations: string[]; persona?: string }): string;
  parseVariants?(completion: string): string[];
  canonical?(problem: string): string;
  transformations?: { easier?: string[]; equivalent?: string[]; harder?: string[] };
}

export interface Problem {
  problem: string;
  id?: string;
  level?: number;
  answer?: string;
}

export interface EvaluateOptions {
  task: TaskChoice;
  problems: readonly (string | Problem)[];
  samples?: number;
  seed?: number;
  temperature?: number;
  maxTokens?: number;
  adapter?: boolean;
  signal?: AbortSignal;
}

export interface Evaluation {
  n: number;
  passAt: Record<string, number>;
  ci95: [number, number];
  /** Means of the numbers that the task gave, by name; `reward` is that of the answer itself. `passAt` is empty where there is nothing else. */
  rewards: Record<string, { mean: number; ci95: [number, number] | null }>;
  problems: { problem: string; correct: number; samples: number }[];
}

/** A model kept in this browser's store. */
export interface CachedModel {
  source: string;
  bytes: number;
  files: { name: string; bytes: number; complete: boolean }[];
}

/** A model on the GPU. It lives in a worker; every method can be called at any time and runs after those before it. */
export interface Model {
  readonly info: ModelInfo;
  fit(workload?: Workload): Promise<Fit>;
  generate(prompt: string, options?: SamplingOptions): AsyncIterableIterator<Chunk>;
  chat(messages: readonly Message[], options?: SamplingOptions): AsyncIterableIterator<Chunk>;
  /** Log-probability of each token given those before it; one fewer than tokens. */
  score(text: string, options?: { adapter?: boolean; signal?: AbortSignal }): Promise<{ tokens: number[]; logprobs: number[] }>;
  train(examples: readonly Example[], options?: TrainOptions): AsyncIterableIterator<TrainStep>;
  ladder(options: LadderOptions): Run<LadderResult>;
  ttrl(options: TtrlOptions): Run<TtrlResult>;
  evaluate(options: EvaluateOptions): Promise<Evaluation>;
  /** A library of lessons in this browser's store (in Node: in memory), which the first lesson makes. */
  library(name: string): Library;
  readonly adapter: Adapter;
  /** Self-contained HTML report of the last run, or of a stored one. */
  report(run?: string): Promise<string>;
  /** Called when the GPU was lost and the model was set up anew from the last checkpoint. */
  onRecovered(listener: (message: string) => void): () => void;
  dispose(): Promise<void>;
}

/** The trained adapter, in PEFT's files. */
export interface Adapter {
  save(): Promise<{ name: string; bytes: Uint8Array }[]>;
  load(files: readonly (File | { name: string; bytes: Uint8Array })[]): Promise<void>;
  /** Back to the base model. */
  clear(): Promise<void>;
}
