// The runs in this browser's store: listed, read, removed.

import { StepladderError } from "./errors.js";
import type { Event } from "./events.js";
import { current, generations, holdRun, home, parseCard, type Kept } from "./run-place.js";
import { runBusy } from "./run-store.js";
import type { RunLog, StoredRun, TrainStep } from "./types.js";

/** Card, log and last checkpoint of a stored run, without taking it from a worker that writes it. */
export async function readRun(run: string): Promise<Kept> {
  const found = await home(false);
  const kept = found && (await current(found, (await generations(found)).get(run) ?? []));
  if (kept === undefined) throw new StepladderError("usage", `there is no run \`${run}\``, "listRuns() tells which there are");
  return kept;
}

/** Every stored run. */
export async function listRuns(): Promise<StoredRun[]> {
  const found = await home(false);
  const runs: StoredRun[] = [];
  if (found === undefined) return runs;
  for (const [name, folders] of await generations(found)) {
    const kept = await current(found, folders);
    if (kept === undefined) continue;
    const { card, at, bytes, finished } = kept;
    const { kind, model, steps, problem, task } = parseCard(card);
    const whole = steps ?? at.steps ?? 0;
    const asks = { ...(problem !== undefined && { problem }), ...(task !== undefined && { task }) };
    runs.push({ name, kind, step: at.step, steps: whole, model, bytes, finished, ...asks });
  }
  return runs;
}

/** What a run told up to its last checkpoint. */
export async function runLog(run: string): Promise<RunLog> {
  const { card, log, at } = await readRun(run);
  const { kind } = parseCard(card);
  const kept = new TextDecoder().decode(new TextEncoder().encode(log).subarray(0, at.position));
  const lines = kept.split("\n").filter((line) => line !== "").map((line): unknown => JSON.parse(line));
  return kind === "train" ? { kind, events: lines as TrainStep[] } : { kind, events: lines as Event[] };
}

/** Deletes a stored run. */
export async function removeRun(run: string): Promise<void> {
  const found = await home(false);
  if (found === undefined) return;
  const release = await holdRun(run);
  try {
    for (const folder of (await generations(found)).get(run) ?? []) await found.removeEntry(folder, { recursive: true });
  } catch (cause) {
    throw cause instanceof DOMException && cause.name === "NoModificationAllowedError" ? runBusy(run, cause) : cause;
  } finally {
    release();
  }
}
