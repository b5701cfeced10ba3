// Where a run keeps its card, its log and its checkpoints: in memory, or in the browser's private file system, from which it
// goes on after the tab was closed.

import { StepladderError } from "./errors.js";
import type { SyncFile } from "./files/store.js";

/** Takes a file for this worker alone. */
export function syncHandle(file: FileSystemFileHandle): Promise<SyncFile> {
  return (file as FileSystemFileHandle & { createSyncAccessHandle(): Promise<SyncFile> }).createSyncAccessHandle();
}

/** What the engine and `learning.ts` need of a store; synchronous, but for its end, because the engine's loop is. */
export interface RunStore {
  card: string | undefined;
  append(line: string): void;
  position(): number;
  rewind(position: number): void;
  save(state: Uint8Array): void;
  /** The last whole checkpoint. */
  saved(): Uint8Array | undefined;
  log(): string;
  close(): Promise<void>;
  /** Told, once each time it begins, why checkpoints are not kept any more. */
  warn?: (message: string) => void;
}

/** For runs without a name. */
export class MemoryRunStore implements RunStore {
  card: string | undefined;
  #lines: string[] = [];
  #state: Uint8Array | undefined;

  append(line: string): void {
    this.#lines.push(line);
  }
  position(): number {
    return this.#lines.length;
  }
  rewind(position: number): void {
    this.#lines.length = position;
  }
  save(state: Uint8Array): void {
    this.#state = state;
  }
  saved(): Uint8Array | undefined {
    return this.#state;
  }
  log(): string {
    return this.#lines.map((line) => `${line}\n`).join("");
  }
  async close(): Promise<void> {}
}

/** Sequence number, length and checksum stand before a slot's bytes. */
const HEADER = 12;

/** FNV-1a: tells a slot that was written whole from one that was not. */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** The checkpoint in a slot, if it was written whole. */
export function readSlot(slot: Uint8Array): { sequence: number; state: Uint8Array } | undefined {
  if (slot.length < HEADER) return undefined;
  const view = new DataView(slot.buffer, slot.byteOffset, slot.byteLength);
  const [sequence, length, sum] = [view.getUint32(0), view.getUint32(4), view.getUint32(8)];
  const state = slot.subarray(HEADER, HEADER + length);
  return state.length === length && checksum(state) === sum ? { sequence, state } : undefined;
}

/** The size of an open file; browsers answer -1, some of them read as unsigned, for one that they deleted meanwhile. */
export function sizeOf(file: SyncFile): number {
  const size = file.getSize();
  if (size >= 0 && size <= Number.MAX_SAFE_INTEGER) return size;
  throw new DOMException("the file was deleted", "NotFoundError");
}

function readAll(file: SyncFile): Uint8Array {
  const bytes = new Uint8Array(sizeOf(file));
  file.read(bytes, { at: 0 });
  return bytes;
}

/** What a store without space says. The run's own progress is not in danger: the model holds it. */
const FULL = "this browser has no space left for the run's checkpoints; it goes on, and what is kept is its last whole checkpoint: free space, and the next one is tried";

/** What a store whose files are gone says. */
const GONE = "its files in this browser's store cannot be written any more, as after the site's data was cleared; the run goes on in memory only: save its adapter before you close this page";

/**
 * A run in the private file system. Checkpoints go to two slots in turn, so that one is always whole. Log and last checkpoint
 * are in memory too: nobody can keep the browser or its user from deleting the files of a page that is open.
 *
 * Where there is no space the run goes on: the checkpoint waits, and each later save tries again. A checkpoint is written only
 * after the log that belongs to it, so that what is kept fits together. Where the files are gone the run goes on without them.
 */
export class OpfsRunStore implements RunStore {
  card: string | undefined;
  warn?: (message: string) => void;
  readonly #log: SyncFile;
  readonly #slots: [SyncFile, SyncFile];
  readonly #closed: () => Promise<void>;
  #sequence = 0;
  #state: Uint8Array | undefined;
  /** The whole log in pieces, its length, and the pieces that are not in its file yet. */
  #pieces: Uint8Array[];
  #length: number;
  #waiting: Uint8Array[] = [];
  /** The last warning; none while all is well. */
  #told: string | undefined;

  private constructor(log: SyncFile, slots: [SyncFile, SyncFile], closed: () => Promise<void>) {
    this.#log = log;
    this.#slots = slots;
    this.#closed = closed;
    const begun = readAll(log);
    this.#pieces = [begun];
    this.#length = begun.length;
    for (const slot of slots) {
      const found = readSlot(readAll(slot));
      if (found !== undefined && found.sequence > this.#sequence) {
        this.#sequence = found.sequence;
        this.#state = found.state;
      }
    }
  }

  /** Opens a folder of `run`; it belongs to this worker until `close`, after which `closed` is called. */
  static async open(run: string, folder: FileSystemDirectoryHandle, closed: () => Promise<void>): Promise<OpfsRunStore> {
    const open: SyncFile[] = [];
    try {
      for (const name of ["events.jsonl", "state-0", "state-1"]) {
        const file = await folder.getFileHandle(name, { create: true });
        open.push(await syncHandle(file));
      }
      const [log, one, two] = open as [SyncFile, SyncFile, SyncFile];
      return new OpfsRunStore(log, [one, two], closed);
    } catch (cause) {
      open.forEach((handle) => handle.close());
      if (cause instanceof DOMException && cause.name === "NoModificationAllowedError") throw runBusy(run, cause);
      const hint = "choose another name, or start the run without one: it is then kept in memory only";
      throw new StepladderError("storage", `the run's files cannot be opened: ${String(cause)}`, hint, { cause });
    }
  }

  append(line: string): void {
    const piece = new TextEncoder().encode(`${line}\n`);
    this.#pieces.push(piece);
    this.#waiting.push(piece);
    this.#length += piece.length;
    this.#guarded(() => void this.#flushLog());
  }
  position(): number {
    return this.#length;
  }
  rewind(position: number): void {
    if (position >= this.#length) return;
    const kept = this.#whole().subarray(0, position);
    const written = this.#length - this.#waiting.reduce((sum, piece) => sum + piece.length, 0);
    this.#pieces = [kept];
    this.#waiting = written < position ? [kept.subarray(written)] : [];
    this.#length = position;
    this.#guarded(() => {
      if (written > position) this.#log.truncate(position);
    });
  }
  save(state: Uint8Array): void {
    this.#state = state;
    this.#guarded(() => {
      if (this.#write(state)) this.#told = undefined;
      else this.#tell(FULL);
    });
  }
  saved(): Uint8Array | undefined {
    return this.#state;
  }
  log(): string {
    return new TextDecoder().decode(this.#whole());
  }
  async close(): Promise<void> {
    for (const handle of [this.#log, ...this.#slots]) handle.close();
    await this.#closed();
  }

  #whole(): Uint8Array {
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    this.#pieces = [whole];
    return whole;
  }

  /** Writes to the files, unless they are gone. */
  #guarded(work: () => void): void {
    if (this.#told === GONE) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      this.#tell(GONE);
    }
  }

  /** Whether the checkpoint, and the log before it, are in their files. */
  #write(state: Uint8Array): boolean {
    const sequence = this.#sequence + 1;
    const slot = this.#slots[sequence % 2 === 0 ? 0 : 1];
    if (!this.#flushLog()) return false;
    this.#log.flush();
    const header = new DataView(new ArrayBuffer(HEADER));
    header.setUint32(0, sequence);
    header.setUint32(4, state.length);
    header.setUint32(8, checksum(state));
    // In place: the slot keeps its space, and until its header fits its bytes it counts as none.
    if (!write(slot, state, HEADER) || !write(slot, new Uint8Array(header.buffer), 0)) return false;
    slot.truncate(HEADER + state.length);
    slot.flush();
    this.#sequence = sequence;
    return true;
  }

  /** Whether the whole log is in its file. */
  #flushLog(): boolean {
    while (this.#waiting[0] !== undefined) {
      if (!write(this.#log, this.#waiting[0], sizeOf(this.#log))) return false;
      this.#waiting.shift();
    }
    return true;
  }

  #tell(why: string): void {
    if (this.#told !== why) this.warn?.(why);
    this.#told = why;
  }
}

/** The error of a run that another worker writes. */
export function runBusy(run: string, cause?: unknown): StepladderError {
  const hint = "wait until it ends, stop it, close the tab in which it works, or choose another name";
  return new StepladderError("busy", `the run \`${run}\` is at work, here or in another tab`, hint, { cause });
}

/** Writes all of `bytes`, or leaves the file as long as it was and answers false. */
export function write(file: SyncFile, bytes: Uint8Array, at: number): boolean {
  const size = sizeOf(file);
  try {
    // Without space left, Chromium neither throws nor writes: it gives back a negative number, read as unsigned.
    if (file.write(bytes, { at }) === bytes.length) return true;
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "QuotaExceededError")) throw error;
  }
  if (sizeOf(file) > size) file.truncate(size);
  return false;
}
