// The package's interface.

import { Connection } from "./client.js";
import type { Verdict } from "./events.js";
import { WorkerModel } from "./model.js";
import type { CommandName, Commands } from "./protocol.js";
import type { CachedModel, LoadOptions, Model, Problem, Source, StoredRun, TaskInfo } from "./types.js";

export { StepladderError, type ErrorCode } from "./errors.js";
export type * from "./events.js";
export type * from "./types.js";

/** Loads a model onto the GPU, in a worker of its own. */
export async function load(source: Source, options: LoadOptions = {}): Promise<Model> {
  const { signal, onProgress, ...rest } = options;
  const connection = await Connection.open();
  const asks = { source: source instanceof URL ? source.href : source, options: rest };
  try {
    const info = await connection.call("load", asks, { signal, news: (progress) => onProgress?.(progress) }).answer;
    return new WorkerModel(connection, info);
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Asks a worker that has no model. */
async function once<Name extends CommandName>(name: Name, asks: Commands[Name]["asks"]): Promise<Commands[Name]["answers"]> {
  const connection = await Connection.open();
  try {
    return await connection.call(name, asks).answer;
  } finally {
    connection.close();
  }
}

/** The built-in tasks with their parameters. */
export function tasks(): Promise<TaskInfo[]> {
  return once("tasks", null);
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
