// Libraries of lessons: what the package's functions on them take and give back.

import type { LibrarySettings } from "./events.js";
import type { SettingValue } from "./run-types.js";
import type { Chunk, Message, SamplingOptions } from "./types.js";

/** A question (or several wordings of it) and its answer; `exam` holds wordings that only the exam asks. */
export interface Pair {
  question: string | readonly string[];
  answer: string;
  exam?: string | readonly (string | { question: string; answer?: string; kind?: "reworded" | "reversed" | "combined" })[];
  /** How much it counts, from 0.01 to 100 (default 1). */
  weight?: number;
}

/** Another answer to a question that a lesson teaches, in all its wordings. */
export interface Correction {
  question: string;
  answer: string;
}

/** What somebody thought of an answer: a thumb, what is right, how it should have been said, or another answer that is better. */
export interface Feedback {
  prompt: string;
  answer?: string;
  thumb?: "up" | "down";
  correction?: string;
  edited?: string;
  chosen?: string;
  rejected?: string;
  weight?: number;
}

/**
 * What a lesson is made from: pairs, as JSON lines or rows; a correction; a text, of which the model makes pairs itself if it shows
 * that it can; feedback on answers; or the name of a LADDER run in this browser's store, whose solved problems are learnt.
 */
export type LessonSource =
  | string
  | readonly Pair[]
  | Correction
  | { document: string }
  | { feedback: string | readonly Feedback[] }
  | { run: string };

/** Settings are of a new library alone, which keeps them. */
export interface LearnOptions extends LibrarySettings {
  /** Any setting by its path, as in `stepladder learn --set PATH=VALUE`; a text is read as that option reads it. */
  settings?: Record<string, SettingValue>;
  /** The lesson's name. */
  name?: string;
  /** Let answers that differ from those of earlier lessons take their place. */
  supersede?: boolean;
  /** Accept what the gate lets through (default false: it waits for `accept()` or `reject()`). */
  accept?: boolean;
  /** Loss on better and worse answers of feedback (default `dpo`), and how strongly the model before the lesson holds (0.1). */
  preference?: "dpo" | "ipo" | "kto";
  beta?: number;
  /** Questions whose present answers must stay: the gate asks them before and after. */
  neighbours?: readonly string[];
  signal?: AbortSignal;
}

/** What a lesson took. */
export interface LessonCost {
  training_tokens: number;
  exam_tokens: number;
  seconds: number;
}

/** The gate's word on a candidate; its checks are in the board. */
export interface GateVerdict {
  decision: "accepted" | "rejected" | "cannot_tell";
  [check: string]: unknown;
}

/** How learning goes. */
export type LessonNews =
  /** What is learnt; `recall` has its facts in this order. */
  | { event: "lesson"; lesson: number; name: string; facts: { question: string; answer: string }[] }
  | { event: "exam"; what: string; questions: number }
  | { event: "recall"; lesson: number; right: boolean[] }
  | { event: "epoch"; lesson: number; epoch: number; epochs: number; loss: number; recall: number }
  | { event: "judged"; lesson: number; head: string; scale: number; verdict: GateVerdict }
  | { event: "next"; what: string }
  /** What was found, or is not learnt. */
  | { event: "note"; words: string }
  /** How far what the last news began has come. */
  | { event: "progress"; done: number; all: number; words: string };

/** Which exam: of a head (its name, `base`, or the one that is served), or of the base with notes in the context. */
export interface ExamOptions {
  head?: string;
  /** All that a lesson teaches stands before each question. */
  notes?: boolean;
  /** So many lines of it, those that match the question best. */
  retrieve?: number;
  /** This lesson's alone (default: all that count). */
  lesson?: number;
  onProgress?: (news: LessonNews) => void;
  signal?: AbortSignal;
}

/** A lesson's exam, as it was answered. */
export interface Paper {
  lesson: number;
  name: string;
  /** The head, `base`, or the kind of notes. */
  by: string;
  right: number;
  questions: number;
  tokens: number;
  seconds: number;
  outcomes: { question: { prompt: string; answer: string; kind: string }; outcome: { right: boolean; said: string; logprob: number | null } }[];
}

export interface ConsolidateOptions {
  /** Lessons that are left out for good: the new head has never seen them. */
  without?: readonly number[];
  onProgress?: (news: LessonNews) => void;
  signal?: AbortSignal;
}

/** The head that all lessons that count were learnt into, anew. */
export interface Consolidated {
  /** `null` for the base, where none is left. */
  head: string | null;
  lessons: number[];
}

/** A lesson that went through its exam. */
export interface Learned {
  lesson: number;
  head: string;
  /** `waiting` and `cannot_tell` wait for `accept()` or `reject()`. */
  state: "accepted" | "rejected" | "waiting" | "cannot_tell";
  verdict: GateVerdict;
  /** The gate's words, a line a check. */
  words: string[];
  cost: LessonCost;
}

/** A lesson being learnt: its news, and how it ended. */
export interface Learning extends AsyncIterable<LessonNews> {
  readonly result: Promise<Learned>;
  /** Ends it; `learn()` without pairs goes on from its last epoch. */
  stop(): Promise<void>;
}

export interface LessonInfo {
  number: number;
  name: string;
  kind: string;
  status: "proposed" | "waiting" | "accepted" | "rejected" | "rolled_back";
  facts: { question: string; answer: string; superseded: boolean }[];
  verdict: GateVerdict | null;
  words: string[] | null;
  cost: LessonCost;
}

/** What is in a library. */
export interface LibraryInfo {
  /** The base model, and the hash of its weights. */
  model: string;
  base: string;
  /** The head that is served; `null` for the base. */
  head: string | null;
  /** Lessons that the head knows. */
  active: number[];
  /** The lesson that is not decided. */
  pending: number | null;
  /** Questions that the head answered. */
  asked: number;
  settings: Record<string, unknown>;
  lessons: LessonInfo[];
  warning: string | null;
}

/** A library in this browser's store. */
export interface StoredLibrary {
  name: string;
  /** Empty for one that is damaged. */
  model: string;
  lessons: number;
  /** Lessons that its head knows. */
  active: number;
}

/** Asks what `lesson` made in place of the head. */
export interface AskOptions extends Omit<SamplingOptions, "adapter"> {
  lesson?: number;
}

/**
 * A library of lessons in this browser's store, on the model that it was made with. One worker writes it at a time; every method
 * reads it anew.
 */
export interface Library {
  readonly name: string;
  /** `undefined` until the first lesson. */
  info(): Promise<LibraryInfo | undefined>;
  /** Learns a lesson, or without a source what was stopped. The first makes the library. */
  learn(source?: LessonSource, options?: LearnOptions): Learning;
  /** Asks what was not asked yet of an exam; a paper for each lesson. */
  exam(options?: ExamOptions): Promise<Paper[]>;
  /** Learns all lessons that count anew, from the base; a call that was cancelled goes on by the same one. */
  consolidate(options?: ConsolidateOptions): Promise<Consolidated>;
  /** Makes the candidate that waits the head; `against` is why the gate did not let it through. */
  accept(): Promise<{ lesson: number; head: string; against: string | null }>;
  reject(reason?: string): Promise<number>;
  /** Takes a lesson (default the last) back, with all after it. */
  rollback(lesson?: number): Promise<{ lessons: number[]; head: string | null }>;
  /** Asks the head as its exam does: in the model's chat format if it has one. */
  ask(question: string, options?: AskOptions): AsyncIterableIterator<Chunk>;
  generate(prompt: string, options?: AskOptions): AsyncIterableIterator<Chunk>;
  chat(messages: readonly Message[], options?: AskOptions): AsyncIterableIterator<Chunk>;
  score(text: string, options?: { lesson?: number; signal?: AbortSignal }): Promise<{ tokens: number[]; logprobs: number[] }>;
  /** What heads know, kept, forgot and cost, as `stepladder board --json` tells it. */
  board(): Promise<Record<string, unknown>>;
  /** The same as one HTML page that needs nothing else. */
  boardPage(): Promise<string>;
  /** The head, or what a lesson made, as the files of a PEFT adapter. */
  adapter(lesson?: number): Promise<{ name: string; bytes: Uint8Array }[]>;
  /** The library's folder as a ZIP file, which `stepladder board`, unpacked, opens too. */
  export(): Promise<Blob>;
}
