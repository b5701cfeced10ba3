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

/** A run in the private file system. Checkpoints go to two slots in turn, so that one is always whole. */
export class OpfsRunStore implements RunStore {
  card: string | undefined;
  readonly #log: SyncFile;
  readonly #slots: [SyncFile, SyncFile];
  #sequence = 0;
  #state: Uint8Array | undefined;

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
    this.#write(this.#log, new TextEncoder().encode(`${line}\n`), this.#log.getSize());
  }
  position(): number {
    return this.#log.getSize();
  }
  rewind(position: number): void {
    this.#log.truncate(position);
  }
  save(state: Uint8Array): void {
    this.#log.flush();
    const sequence = this.#sequence + 1;
    const slot = this.#slots[sequence % 2 === 0 ? 0 : 1];
    const header = new DataView(new ArrayBuffer(HEADER));
    header.setUint32(0, sequence);
    header.setUint32(4, state.length);
    header.setUint32(8, checksum(state));
    slot.truncate(0);
    this.#write(slot, state, HEADER);
    this.#write(slot, new Uint8Array(header.buffer), 0);
    slot.flush();
    [this.#sequence, this.#state] = [sequence, state];
  }
  saved(): Uint8Array | undefined {
    return this.#state;
  }
  log(): string {
    return new TextDecoder().decode(readAll(this.#log));
  }
  close(): void {
    for (const handle of [this.#log, ...this.#slots]) handle.close();
  }

  #write(handle: SyncFile, bytes: Uint8Array, at: number): void {
    let written = 0;
    try {
      written = handle.write(bytes, { at });
    } catch (cause) {
      throw new StepladderError("quota", `the run cannot be saved: ${String(cause)}`, "free space, then resume the run", { cause });
    }
    if (written !== bytes.length) throw new StepladderError("quota", "the browser's store is full", "free space, then resume the run");
  }
}
