// The runs in this browser's store: opened by name, listed, removed.

import { checkpoint_info as checkpointInfo } from "./wasm/stepladder.js";
import { StepladderError } from "./errors.js";
import { isNode } from "./node.js";
import { MemoryRunStore, OpfsRunStore, readSlot, syncHandle, write, type RunStore } from "./run-store.js";
import type { Event } from "./events.js";
import type { RunKind, RunLog, StoredRun, TrainStep } from "./types.js";

const FOLDER = "stepladder-runs";
const CARD = "card.json";
const CARD_COPY = "card-copy.json";

async function root(create: boolean): Promise<FileSystemDirectoryHandle | undefined> {
  if (isNode() || navigator.storage?.getDirectory === undefined) return undefined;
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create });
  } catch (cause) {
    if (!create) return undefined;
    const hint = "allow the site to store data, or start the run without a name";
    throw new StepladderError("storage", "this browser lets the page store no files", hint, { cause });
  }
}

/** A name as one folder. */
function folderName(run: string): string {
  return encodeURIComponent(run);
}

async function text(folder: FileSystemDirectoryHandle, name: string): Promise<string> {
  try {
    return await (await (await folder.getFileHandle(name)).getFile()).text();
  } catch {
    return "";
  }
}

/** The store of a run: by name in the private file system, else in memory. A new run replaces one of its name. */
export async function openRun(run: string | undefined, resume: boolean): Promise<RunStore> {
  const home = run === undefined ? undefined : await root(true);
  if (run === undefined || home === undefined) return new MemoryRunStore();
  const name = folderName(run);
  if (!resume) await removeRun(run);
  const folder = await home.getDirectoryHandle(name, { create: true });
  const card = await readCard(folder);
  const store = await OpfsRunStore.open(folder);
  store.card = card === "" ? undefined : card;
  return store;
}

/** Writes what defines a run, before it begins. */
export async function saveCard(run: string | undefined, store: RunStore, card: string): Promise<void> {
  const known = store.card === card;
  store.card = card;
  const home = run === undefined || known ? undefined : await root(true);
  if (run === undefined || home === undefined) return;
  const folder = await home.getDirectoryHandle(folderName(run), { create: true });
  // The second copy is there while the first is written, so that a tab that closes in between loses neither.
  for (const name of [CARD_COPY, CARD]) {
    const file = await syncHandle(await folder.getFileHandle(name, { create: true }));
    try {
      const bytes = new TextEncoder().encode(card);
      if (!write(file, bytes, 0)) throw noSpace(run);
      file.truncate(bytes.length);
      file.flush();
    } finally {
      file.close();
    }
  }
}

/** The error of a run that cannot be kept from its beginning. */
export function noSpace(run: string, cause?: unknown): StepladderError {
  const hint = "delete models or runs that you no longer need, or start the run without a name: it is then kept in memory only";
  return new StepladderError("quota", `the browser has no space for the run \`${run}\``, hint, { cause });
}

/** The card of a run's folder; empty if there is none. */
async function readCard(folder: FileSystemDirectoryHandle): Promise<string> {
  for (const name of [CARD, CARD_COPY]) {
    const card = await text(folder, name);
    try {
      JSON.parse(card);
      return card;
    } catch {
      // Torn, or not there: the other copy has it.
    }
  }
  return "";
}

/** The parts of a card that runs of all kinds have somewhere. */
export interface Card {
  kind: RunKind;
  model: string;
  /** Steps of the whole run; undefined where the examples decide. */
  steps: number | undefined;
  problem: string | undefined;
}

export function parseCard(text: string): Card {
  interface Parts {
    kind?: RunKind;
    model: string;
    problem?: { problem: string };
    settings: { steps?: number | null; settings?: { steps: number } };
  }
  const { kind = "ladder", model, problem, settings } = JSON.parse(text) as Parts;
  return { kind, model, steps: settings.settings?.steps ?? settings.steps ?? undefined, problem: problem?.problem };
}

/** Card, log and last checkpoint of a stored run, without taking it from a worker that writes it. */
export async function readRun(run: string): Promise<{ card: string; log: string; state: Uint8Array | undefined; bytes: number }> {
  const home = await root(false);
  const folder = await home?.getDirectoryHandle(folderName(run)).catch(() => undefined);
  if (folder === undefined) throw new StepladderError("usage", `there is no run \`${run}\``, "listRuns() tells which there are");
  let best: { sequence: number; state: Uint8Array } | undefined;
  let bytes = 0;
  for (const name of ["state-0", "state-1"]) {
    const file = await folder.getFileHandle(name).then((handle) => handle.getFile()).catch(() => undefined);
    if (file === undefined) continue;
    bytes += file.size;
    const slot = readSlot(new Uint8Array(await file.arrayBuffer()));
    if (slot !== undefined && slot.sequence > (best?.sequence ?? 0)) best = slot;
  }
  const [card, log] = [await readCard(folder), await text(folder, "events.jsonl")];
  return { card, log, state: best?.state, bytes: bytes + card.length + log.length };
}

/** Every stored run. */
export async function listRuns(): Promise<StoredRun[]> {
  const home = await root(false);
  const runs: StoredRun[] = [];
  if (home === undefined) return runs;
  for await (const name of home.keys()) {
    const run = decodeURIComponent(name);
    const { card, log, state, bytes } = await readRun(run);
    if (card === "") continue;
    const { kind, model, steps, problem } = parseCard(card);
    const at = checkpointOf(state);
    const last = log.trimEnd().split("\n").at(-1) ?? "";
    const ended = last.includes('"type":"finished"') && !last.includes('"reason":"cancelled"');
    const whole = steps ?? at.steps ?? 0;
    const finished = kind === "train" ? at.step > 0 && at.step >= whole : ended;
    runs.push({ name: run, kind, step: at.step, steps: whole, model, bytes, finished, ...(problem !== undefined && { problem }) });
  }
  return runs;
}

interface Checkpoint {
  step: number;
  steps?: number;
  position: number;
}

/** Where a checkpoint stands; at the beginning if there is none. */
export function checkpointOf(state: Uint8Array | undefined): Checkpoint {
  return state === undefined ? { step: 0, position: 0 } : (JSON.parse(checkpointInfo(state)) as Checkpoint);
}

/** What a run told up to its last checkpoint. */
export async function runLog(run: string): Promise<RunLog> {
  const { card, log, state } = await readRun(run);
  const { kind } = parseCard(card);
  const kept = new TextDecoder().decode(new TextEncoder().encode(log).subarray(0, checkpointOf(state).position));
  const lines = kept.split("\n").filter((line) => line !== "").map((line): unknown => JSON.parse(line));
  return kind === "train" ? { kind, events: lines as TrainStep[] } : { kind, events: lines as Event[] };
}

/** Deletes a stored run. */
export async function removeRun(run: string): Promise<void> {
  const home = await root(false);
  await home?.removeEntry(folderName(run), { recursive: true }).catch((cause: unknown) => {
    const { name } = cause as DOMException;
    if (name === "NotFoundError") return;
    if (name !== "NoModificationAllowedError") throw cause;
    throw new StepladderError("busy", `the run \`${run}\` is at work`, "stop it, or close the tab in which it works, then delete it", { cause });
  });
}
