// Where a named run lies in the private file system.
//
// A new run of a name that is taken is written beside the one that is there, as the name's next generation. The name means the
// youngest generation that came as far as any of them; the others are deleted when a run ends. So a run is replaced at the
// moment at which another one's checkpoint is whole, and never by one that learnt nothing.

import { checkpoint_info as checkpointInfo } from "./wasm/stepladder.js";
import { StepladderError } from "./errors.js";
import { tryHold, type Release } from "./locks.js";
import { isNode } from "./node.js";
import { OpfsRunStore, readSlot, runBusy, syncHandle, write } from "./run-store.js";
import type { RunKind } from "./types.js";

const FOLDER = "stepladder-runs";
const CARD = "card.json";
const CARD_COPY = "card-copy.json";

/** The parts of a card that runs of all kinds have somewhere. */
export interface Card {
  kind: RunKind;
  model: string;
  /** Steps of the whole run; undefined where the examples decide. */
  steps: number | undefined;
  problem: string | undefined;
  /** The task's name and options; undefined for supervised steps. */
  task: { name: string; options: Record<string, string> } | undefined;
}

export function parseCard(text: string): Card {
  interface Parts {
    kind?: RunKind;
    model: string;
    task?: string;
    task_options?: Record<string, string>;
    problem?: { problem: string };
    settings: { steps?: number | null; settings?: { steps: number } };
  }
  const { kind = "ladder", model, problem, settings, task, task_options: options = {} } = JSON.parse(text) as Parts;
  const steps = settings.settings?.steps ?? settings.steps ?? undefined;
  return { kind, model, steps, problem: problem?.problem, task: task === undefined ? undefined : { name: task, options } };
}

interface Checkpoint {
  step: number;
  steps?: number;
  position: number;
  /** Supervised steps are over, whatever their number. */
  over?: boolean;
}

/** Where a checkpoint stands; at the beginning if there is none. */
export function checkpointOf(state: Uint8Array | undefined): Checkpoint {
  return state === undefined ? { step: 0, position: 0 } : (JSON.parse(checkpointInfo(state)) as Checkpoint);
}

/** A generation as it is in its files. */
export interface Kept {
  /** Name of its folder. */
  folder: string;
  /** Empty if there is none that is whole. */
  card: string;
  log: string;
  state: Uint8Array | undefined;
  at: Checkpoint;
  bytes: number;
  finished: boolean;
}

/** The folder of all runs; undefined where there is no store, or nothing in it. */
export async function home(create: boolean): Promise<FileSystemDirectoryHandle | undefined> {
  if (isNode() || navigator.storage?.getDirectory === undefined) return undefined;
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create });
  } catch (cause) {
    if (!create) return undefined;
    if (cause instanceof DOMException && cause.name === "QuotaExceededError") throw cause;
    const hint = "allow the site to store data, or start the run without a name";
    throw new StepladderError("storage", "this browser lets the page store no files", hint, { cause });
  }
}

/** Names of the folders of each run, oldest generation first. */
export async function generations(home: FileSystemDirectoryHandle): Promise<Map<string, string[]>> {
  const runs = new Map<string, string[]>();
  for await (const folder of home.keys()) {
    // Names are encoded, and no encoded name holds a `+`.
    const run = decodeURIComponent(folder.split("+")[0] as string);
    runs.set(run, [...(runs.get(run) ?? []), folder]);
  }
  for (const folders of runs.values()) folders.sort((a, b) => numberOf(a) - numberOf(b));
  return runs;
}

function numberOf(folder: string): number {
  return Number(folder.split("+")[1] ?? 0);
}

async function text(folder: FileSystemDirectoryHandle, name: string): Promise<string> {
  try {
    return await (await (await folder.getFileHandle(name)).getFile()).text();
  } catch {
    return "";
  }
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

/** Card, log and last checkpoint of a folder, without taking it from a worker that writes it. */
async function read(home: FileSystemDirectoryHandle, name: string): Promise<Kept> {
  const folder = await home.getDirectoryHandle(name);
  let best: { sequence: number; state: Uint8Array } | undefined;
  let bytes = 0;
  for (const slotName of ["state-0", "state-1"]) {
    const file = await folder.getFileHandle(slotName).then((handle) => handle.getFile()).catch(() => undefined);
    if (file === undefined) continue;
    bytes += file.size;
    const slot = readSlot(new Uint8Array(await file.arrayBuffer()));
    if (slot !== undefined && slot.sequence > (best?.sequence ?? 0)) best = slot;
  }
  const [card, log] = [await readCard(folder), await text(folder, "events.jsonl")];
  const at = checkpointOf(best?.state);
  const kept = { folder: name, card, log, state: best?.state, at, bytes: bytes + card.length + log.length };
  return { ...kept, finished: hasFinished(kept) };
}

function hasFinished({ card, log, at }: Omit<Kept, "finished">): boolean {
  if (card === "") return false;
  const { kind, steps } = parseCard(card);
  const last = log.trimEnd().split("\n").at(-1) ?? "";
  const ended = last.includes('"type":"finished"') && !last.includes('"reason":"cancelled"');
  return kind === "train" ? at.over === true || (at.step > 0 && at.step >= (steps ?? at.steps ?? 0)) : ended;
}

/** How far a generation came: to nothing, a card, a checkpoint, a step that was learnt. */
function progress({ card, state, at, finished }: Kept): number {
  if (card === "") return 0;
  if (finished || at.step > 0) return 3;
  return state === undefined ? 1 : 2;
}

/** The generation that a run's name means; undefined without any. */
export async function current(home: FileSystemDirectoryHandle, folders: readonly string[]): Promise<Kept | undefined> {
  let best: Kept | undefined;
  for (const folder of folders) {
    const kept = await read(home, folder).catch(() => undefined);
    if (kept !== undefined && (best === undefined || progress(kept) >= progress(best))) best = kept;
  }
  return best !== undefined && progress(best) > 0 ? best : undefined;
}

/** Deletes all generations but the one that the name means; nobody else may hold the run. */
async function tidy(home: FileSystemDirectoryHandle, run: string): Promise<void> {
  const folders = (await generations(home)).get(run) ?? [];
  const kept = await current(home, folders);
  for (const folder of folders) {
    if (folder !== kept?.folder) await home.removeEntry(folder, { recursive: true }).catch(() => undefined);
  }
}

/** Takes the name of a run for this worker; `busy` if another one has it. */
export async function holdRun(run: string): Promise<Release> {
  const release = await tryHold(`run ${run}`);
  if (release === undefined) throw runBusy(run);
  return release;
}

/** A name that is held, and what is kept under it. */
export class RunPlace {
  private constructor(
    private readonly home: FileSystemDirectoryHandle,
    private readonly run: string,
    readonly release: Release,
    private readonly folders: readonly string[],
    readonly kept: Kept | undefined,
  ) {}

  /** Takes a name and changes nothing; undefined where there is no store. */
  static async hold(run: string): Promise<RunPlace | undefined> {
    const found = await home(true);
    if (found === undefined) return undefined;
    const release = await holdRun(run);
    try {
      const folders = (await generations(found)).get(run) ?? [];
      return new RunPlace(found, run, release, folders, await current(found, folders));
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Opens what is kept, to go on with it. */
  async goOn(card: string): Promise<OpfsRunStore> {
    return this.#open(this.kept?.folder ?? encodeURIComponent(this.run), card);
  }

  /** Opens an empty generation beside what is kept. */
  async begin(card: string): Promise<OpfsRunStore> {
    const last = this.folders.at(-1);
    const name = encodeURIComponent(this.run);
    return this.#open(last === undefined ? name : `${name}+${numberOf(last) + 1}`, card);
  }

  async #open(name: string, card: string): Promise<OpfsRunStore> {
    const folder = await this.home.getDirectoryHandle(name, { create: true });
    if ((await readCard(folder)) !== card) await saveCard(folder, this.run, card);
    const store = await OpfsRunStore.open(this.run, folder, async () => {
      await tidy(this.home, this.run).catch(() => undefined);
      this.release();
    });
    store.card = card;
    return store;
  }
}

/** Writes what defines a run, before it begins. */
async function saveCard(folder: FileSystemDirectoryHandle, run: string, card: string): Promise<void> {
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
