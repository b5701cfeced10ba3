// The runs in this browser's store: opened by name, listed, removed.

import { checkpoint_info as checkpointInfo } from "./wasm/stepladder.js";
import { StepladderError } from "./errors.js";
import { isNode } from "./node.js";
import { MemoryRunStore, OpfsRunStore, readSlot, syncHandle, type RunStore } from "./run-store.js";
import type { StoredRun } from "./types.js";

const FOLDER = "stepladder-runs";

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
  if (!resume) {
    await home.removeEntry(name, { recursive: true }).catch((error: unknown) => {
      if ((error as DOMException).name !== "NotFoundError") throw error;
    });
  }
  const folder = await home.getDirectoryHandle(name, { create: true });
  const card = await text(folder, "card.json");
  const store = await OpfsRunStore.open(folder);
  store.card = card === "" ? undefined : card;
  return store;
}

/** Writes what defines a run, before it begins. */
export async function saveCard(run: string | undefined, store: RunStore, card: string): Promise<void> {
  store.card = card;
  const home = run === undefined ? undefined : await root(true);
  if (run === undefined || home === undefined) return;
  const folder = await home.getDirectoryHandle(folderName(run), { create: true });
  const file = await syncHandle(await folder.getFileHandle("card.json", { create: true }));
  try {
    file.truncate(0);
    file.write(new TextEncoder().encode(card), { at: 0 });
    file.flush();
  } finally {
    file.close();
  }
}

/** Card, log and last checkpoint of a stored run, without taking it from a worker that writes it. */
export async function readRun(run: string): Promise<{ card: string; log: string; state: Uint8Array | undefined; bytes: number }> {
  const home = await root(false);
  const folder = await home?.getDirectoryHandle(folderName(run)).catch(() => undefined);
  if (folder === undefined) throw new StepladderError("usage", `there is no run \`${run}\``, "list the runs with runs()");
  let best: { sequence: number; state: Uint8Array } | undefined;
  let bytes = 0;
  for (const name of ["state-0", "state-1"]) {
    const file = await folder.getFileHandle(name).then((handle) => handle.getFile()).catch(() => undefined);
    if (file === undefined) continue;
    bytes += file.size;
    const slot = readSlot(new Uint8Array(await file.arrayBuffer()));
    if (slot !== undefined && slot.sequence > (best?.sequence ?? 0)) best = slot;
  }
  const [card, log] = [await text(folder, "card.json"), await text(folder, "events.jsonl")];
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
    const { model, settings } = JSON.parse(card) as { model: string; settings: { steps: number } };
    const step = state === undefined ? 0 : (JSON.parse(checkpointInfo(state)) as { step: number }).step;
    const last = log.trimEnd().split("\n").at(-1) ?? "";
    const finished = last.includes('"type":"finished"') && !last.includes('"reason":"cancelled"');
    runs.push({ name: run, step, steps: settings.steps, model, bytes, finished });
  }
  return runs;
}

/** Deletes a stored run. */
export async function removeRun(run: string): Promise<void> {
  await (await root(false))?.removeEntry(folderName(run), { recursive: true });
}
