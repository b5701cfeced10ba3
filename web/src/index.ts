// The package's interface.

import { Connection } from "./client.js";
import { aborted } from "./errors.js";
import type { Preset, SettingRow, Verdict } from "./events.js";
import { WorkerModel } from "./model.js";
import type { CommandName, Commands } from "./protocol.js";
import type {
  CachedModel,
  FitOptions,
  LibraryInfo,
  LoadOptions,
  LoadProgress,
  Model,
  PreFlight,
  Problem,
  RunKind,
  RunLog,
  Source,
  StoredLibrary,
  StoredRun,
  TaskInfo,
} from "./types.js";

export { StepladderError, type ErrorCode } from "./errors.js";
export type * from "./events.js";
export type * from "./types.js";

/** Loads a model onto the GPU, in a worker of its own. */
export async function load(source: Source, options: LoadOptions = {}): Promise<Model> {
  const { signal, onProgress, ...rest } = options;
  const connection = await Connection.open();
  const asks = { source: crossing(source), options: rest };
  let stage: LoadProgress["stage"] | undefined;
  // While weights stream, the worker hears of nothing: it is ended with all that it holds. A download ends itself, so that
  // what is there stays whole.
  const stop = (): void => {
    if (stage === "weights" && signal?.aborted === true) connection.end(aborted("loading the model"));
  };
  const news = (progress: LoadProgress): void => {
    stage = progress.stage;
    onProgress?.(progress);
    stop();
  };
  signal?.addEventListener("abort", stop);
  try {
    const info = await connection.call("load", asks, { signal, news }).answer;
    return new WorkerModel(connection, info);
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** Addresses cross as text. */
function crossing(source: Source): Source {
  return source instanceof URL ? source.href : source;
}

/** Whether a model, with a workload on it, fits this device: only the headers of its files are fetched. */
export function fit(source: Source, options: FitOptions = {}): Promise<PreFlight> {
  const { signal, ...rest } = options;
  return once("preFlight", { source: crossing(source), options: rest }, signal);
}

/** Asks a worker that has no model. */
async function once<Name extends CommandName>(
  name: Name,
  asks: Commands[Name]["asks"],
  signal?: AbortSignal,
): Promise<Commands[Name]["answers"]> {
  const connection = await Connection.open();
  try {
    return await connection.call(name, asks, { signal }).answer;
  } finally {
    connection.close();
  }
}

/** The built-in tasks with their parameters. */
export function tasks(): Promise<TaskInfo[]> {
  return once("tasks", null);
}

/**
 * The settings of a kind of run, or of a new library (`learn`): path, range, meaning, and the value that they have (those of a preset,
 * `small` if none is named).
 */
export function settings(kind: RunKind | "learn", preset?: Preset): Promise<SettingRow[]> {
  return once("settings", { kind, ...(preset !== undefined && { preset }) });
}

/** The verdict on one answer; needs no GPU. */
export function verify(
  task: string | { name: string; options?: Record<string, string> },
  problem: string | Problem,
  answer: string,
): Promise<Verdict> {
  const { name, options = {} } = typeof task === "string" ? { name: task } : task;
  return once("verify", { task: name, options, problem: typeof problem === "string" ? { problem } : problem, answer });
}

/** The runs kept in this browser's store. */
export function listRuns(): Promise<StoredRun[]> {
  return once("runs", null);
}

/** What a kept run has told up to the checkpoint that it goes on from. */
export function runLog(run: string): Promise<RunLog> {
  return once("runLog", run);
}

/** Deletes a kept run. */
export async function removeRun(run: string): Promise<void> {
  await once("removeRun", run);
}

/** The models kept in this browser's store. */
export function listCached(): Promise<CachedModel[]> {
  return once("cached", null);
}

/** Deletes a kept model. */
export async function removeCached(source: string): Promise<void> {
  await once("removeCached", source);
}

/** Libraries of lessons in this browser's store: listed, taken in, removed. */
export const libraries = {
  list(): Promise<StoredLibrary[]> {
    return once("libraries", null);
  },
  /** Takes a library in that was exported, or its folder as a ZIP file, under a name that is free (default: that of the file). */
  async import(file: Blob, name?: string): Promise<LibraryInfo> {
    const archiveName = "name" in file ? String((file as File).name) : "the archive";
    return once("importLibrary", { name: name ?? archiveName.replace(/\.zip$/i, "").replace(/\.library$/i, ""), archiveName, archive: file });
  },
  async remove(name: string): Promise<void> {
    await once("removeLibrary", name);
  },
};
