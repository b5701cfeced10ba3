// What the page and the worker say to each other: one map of commands, each with what it asks, what it tells on the way, and
// what it answers. Everything here survives `postMessage`.

import type { ErrorCode } from "./errors.js";
import type { Event, Preset, SettingRow, Verdict } from "./events.js";
import type { Asking } from "./library.js";
import type {
  CachedModel,
  Completion,
  Consolidated,
  EvaluateOptions,
  Evaluation,
  ExamOptions,
  Example,
  Fit,
  FitOptions,
  LadderOptions,
  LadderResult,
  LearnOptions,
  Learned,
  LessonNews,
  LessonSource,
  LibraryInfo,
  LoadOptions,
  LoadProgress,
  Message,
  ModelInfo,
  Paper,
  PreFlight,
  Problem,
  RunKind,
  RunLog,
  SamplingOptions,
  Source,
  StoredLibrary,
  StoredRun,
  TaskInfo,
  TrainOptions,
  TrainStep,
  TtrlOptions,
  TtrlResult,
  Workload,
} from "./types.js";

/** Options as they cross: without what only the caller's side knows. */
export type Plain<Options> = Omit<Options, "signal" | "onProgress">;

/** A file in memory. */
export interface NamedBytes {
  name: string;
  bytes: Uint8Array;
}

/** What a command asks, tells on the way (`news`) and answers. */
interface Exchange<Asks, News, Answers> {
  asks: Asks;
  news: News;
  answers: Answers;
}

/** Every command there is. */
export interface Commands {
  load: Exchange<{ source: Source; options: Plain<LoadOptions> }, LoadProgress, ModelInfo>;
  info: Exchange<null, never, ModelInfo>;
  fit: Exchange<Workload, never, Fit>;
  generate: Exchange<{ prompt: string; options: Plain<SamplingOptions> }, string, Completion>;
  chat: Exchange<{ messages: readonly Message[]; options: Plain<SamplingOptions> }, string, Completion>;
  score: Exchange<{ text: string; adapter: boolean }, never, { tokens: number[]; logprobs: number[] }>;
  train: Exchange<{ examples: readonly Example[]; options: Plain<TrainOptions> }, TrainStep, null>;
  ladder: Exchange<Plain<LadderOptions>, Event, LadderResult>;
  ttrl: Exchange<Plain<TtrlOptions>, Event, TtrlResult>;
  evaluate: Exchange<Plain<EvaluateOptions>, Event, Evaluation>;
  saveAdapter: Exchange<null, never, NamedBytes[]>;
  loadAdapter: Exchange<readonly NamedBytes[], never, null>;
  clearAdapter: Exchange<null, never, null>;
  report: Exchange<{ run?: string }, never, string>;
  learn: Exchange<{ name: string; source: LessonSource | undefined; options: Plain<LearnOptions> }, LessonNews, Learned>;
  exam: Exchange<{ name: string; options: Plain<ExamOptions> }, LessonNews, Paper[]>;
  consolidate: Exchange<{ name: string; without: readonly number[] }, LessonNews, Consolidated>;
  askHead: Exchange<{ name: string; asking: Asking; options: Plain<SamplingOptions> & { lesson?: number } }, string, Completion>;
  scoreHead: Exchange<{ name: string; text: string; lesson: number | undefined }, never, { tokens: number[]; logprobs: number[] }>;
  libraryInfo: Exchange<string, never, LibraryInfo | undefined>;
  libraries: Exchange<null, never, StoredLibrary[]>;
  board: Exchange<string, never, Record<string, unknown>>;
  boardPage: Exchange<string, never, string>;
  accept: Exchange<string, never, { lesson: number; head: string; against: string | null }>;
  reject: Exchange<{ name: string; reason: string }, never, number>;
  rollback: Exchange<{ name: string; lesson: number | undefined }, never, { lessons: number[]; head: string | null }>;
  head: Exchange<{ name: string; lesson: number | undefined }, never, NamedBytes[]>;
  exportLibrary: Exchange<string, never, Blob>;
  importLibrary: Exchange<{ name: string; archiveName: string; archive: Blob }, never, LibraryInfo>;
  removeLibrary: Exchange<string, never, null>;
  dispose: Exchange<null, never, null>;
  loseDevice: Exchange<null, never, null>;
  tasks: Exchange<null, never, TaskInfo[]>;
  settings: Exchange<{ kind: RunKind | "learn"; preset?: Preset }, never, SettingRow[]>;
  verify: Exchange<{ task: string; options: Record<string, string>; problem: Problem; answer: string }, never, Verdict>;
  preFlight: Exchange<{ source: Source; options: Plain<FitOptions> }, never, PreFlight>;
  runs: Exchange<null, never, StoredRun[]>;
  runLog: Exchange<string, never, RunLog>;
  removeRun: Exchange<string, never, null>;
  cached: Exchange<null, never, CachedModel[]>;
  removeCached: Exchange<string, never, null>;
}

export type CommandName = keyof Commands;

/** From the page to the worker. */
export type Request =
  | { [Name in CommandName]: { id: number; name: Name; asks: Commands[Name]["asks"] } }[CommandName]
  /** About the command `id`, at once, whatever is running: `cancel` ends it, `pause` and `resume` are for runs. */
  | { id: number; control: "cancel" | "pause" | "resume" };

/** An error as it crosses. */
export interface PlainError {
  code: ErrorCode;
  message: string;
  hint: string;
}

/** From the worker to the page. */
export type Reply =
  | { id: number; kind: "news"; news: unknown }
  | { id: number; kind: "paused" }
  | { id: number; kind: "done"; answer: unknown }
  | { id: number; kind: "failed"; error: PlainError }
  | { kind: "recovered"; message: string };
