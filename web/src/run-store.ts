// Where a run keeps its card, its log and its checkpoints: in memory, or in the browser's private file system, from which it
// goes on after the tab was closed.

import { StepladderError } from "./errors.js";
import type { SyncFile } from "./files/store.js";

/** Takes a file for this worker alone. */
export function syncHandle(file: FileSystemFileHandle): Promise<SyncFile> {
  return (file as FileSystemFileHandle & { createSyncAccessHandle(): Promise<SyncFile> }).createSyncAccessHandle();
}

/** What the engine and `execute.ts` need of a store; synchronous, because the engine's loop is. */
export interface RunStore {
  card: string | undefined;
  append(line: string): void;
  position(): number;
  rewind(position: number): void;
  save(state: Uint8Array): void;
  /** The last whole checkpoint. */
  saved(): Uint8Array | undefined;
  log(): string;
  close(): void;
  /** Told, once each time it begins, that there is no space for checkpoints any more. */
  full?: (message: string) => void;
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
  close(): void {}
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

function readAll(handle: SyncFile): Uint8Array {
  const bytes = new Uint8Array(handle.getSize());
  handle.read(bytes, { at: 0 });
  return bytes;
}

/** What a store without space says. The run's own progress is not in danger: the model holds it. */
const FULL = "this browser has no space left for the run's checkpoints; it goes on, and what is kept is its last whole checkpoint: free space, and the next one is tried";

/**
 * A run in the private file system. Checkpoints go to two slots in turn, so that one is always whole.
 *
 * Where there is no space the run goes on: lines of the log and the checkpoint wait in memory, and each later save tries again. A
 * checkpoint is written only after the log that belongs to it, so that what is kept fits together.
 */
export class OpfsRunStore implements RunStore {
  card: string | undefined;
  full?: (message: string) => void;
  readonly #log: SyncFile;
  readonly #slots: [SyncFile, SyncFile];
  #sequence = 0;
  #state: Uint8Array | undefined;
  /** The end of the log that is not in its file yet. */
  #waiting: Uint8Array[] = [];
  #told = false;

  private constructor(log: SyncFile, slots: [SyncFile, SyncFile]) {
    this.#log = log;
    this.#slots = slots;
    for (const slot of slots) {
      const found = readSlot(readAll(slot));
      if (found !== undefined && found.sequence > this.#sequence) {
        this.#sequence = found.sequence;
        this.#state = found.state;
      }
    }
  }

  /** Opens the folder of a run; it belongs to this worker until `close`. */
  static async open(folder: FileSystemDirectoryHandle): Promise<OpfsRunStore> {
    const open: SyncFile[] = [];
    try {
      for (const name of ["events.jsonl", "state-0", "state-1"]) {
        const file = await folder.getFileHandle(name, { create: true });
        open.push(await syncHandle(file));
      }
    } catch (cause) {
      open.forEach((handle) => handle.close());
      const hint = "close the other tab that works on this run, or choose another name";
      throw new StepladderError("storage", `the run's files cannot be opened: ${String(cause)}`, hint, { cause });
    }
    const [log, one, two] = open as [SyncFile, SyncFile, SyncFile];
    return new OpfsRunStore(log, [one, two]);
  }

  append(line: string): void {
    this.#waiting.push(new TextEncoder().encode(`${line}\n`));
    this.#flushLog();
  }
  position(): number {
    return this.#waiting.reduce((sum, line) => sum + line.length, this.#log.getSize());
  }
  rewind(position: number): void {
    while (this.#waiting.length > 0 && this.position() > position) this.#waiting.pop();
    if (this.position() > position) this.#log.truncate(position);
  }
  save(state: Uint8Array): void {
    const sequence = this.#sequence + 1;
    const slot = this.#slots[sequence % 2 === 0 ? 0 : 1];
    this.#state = state;
    if (!this.#flushLog()) return this.#tell();
    this.#log.flush();
    const header = new DataView(new ArrayBuffer(HEADER));
    header.setUint32(0, sequence);
    header.setUint32(4, state.length);
    header.setUint32(8, checksum(state));
    // In place: the slot keeps its space, and until its header fits its bytes it counts as none.
    if (!write(slot, state, HEADER) || !write(slot, new Uint8Array(header.buffer), 0)) return this.#tell();
    slot.truncate(HEADER + state.length);
    slot.flush();
    this.#sequence = sequence;
    this.#told = false;
  }
  saved(): Uint8Array | undefined {
    return this.#state;
  }
  log(): string {
    const decoder = new TextDecoder();
    return [readAll(this.#log), ...this.#waiting].map((bytes) => decoder.decode(bytes)).join("");
  }
  close(): void {
    for (const handle of [this.#log, ...this.#slots]) handle.close();
  }

  /** Whether the whole log is in its file. */
  #flushLog(): boolean {
    while (this.#waiting[0] !== undefined) {
      if (!write(this.#log, this.#waiting[0], this.#log.getSize())) return false;
      this.#waiting.shift();
    }
    return true;
  }

  #tell(): void {
    if (!this.#told) this.full?.(FULL);
    this.#told = true;
  }
}

/** Writes all of `bytes`, or leaves the file as long as it was and answers false. */
export function write(file: SyncFile, bytes: Uint8Array, at: number): boolean {
  const size = file.getSize();
  try {
    // Without space left, Chromium neither throws nor writes: it gives back a negative number, read as unsigned.
    if (file.write(bytes, { at }) === bytes.length) return true;
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "QuotaExceededError")) throw error;
  }
  if (file.getSize() > size) file.truncate(size);
  return false;
}
