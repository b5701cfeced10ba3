// Where libraries of lessons lie: a folder each in the private file system with three files (the library's own, which only
// grows, and two for checkpoints), in Node in memory.

import { LessonLibrary } from "./wasm/stepladder.js";
import { StepladderError, describe } from "./errors.js";
import type { SyncFile } from "./files/store.js";
import { tryHold } from "./locks.js";
import { isNode } from "./node.js";
import { sizeOf, syncHandle, write } from "./run-store.js";

const FOLDER = "stepladder-libraries";
/** The library's own file, and those of checkpoints. */
const FILES = ["library.pack", "state-0", "state-1"] as const;

/** A file as the engine reads and writes it. */
interface Growing {
  size(): number;
  readAt(offset: number, into: Uint8Array): void;
  writeAt(offset: number, bytes: Uint8Array): void;
  truncate(size: number): void;
}

/** A library that is open. */
export interface OpenLibrary {
  library: LessonLibrary;
  /** Nobody else writes it meanwhile. */
  writable: boolean;
  /** Why its files could not be written, if they could not. */
  failed(): StepladderError | undefined;
  close(): void;
}

function inMemory(bytes: Uint8Array): Growing {
  let held = bytes;
  let size = bytes.length;
  return {
    size: () => size,
    readAt: (offset, into) => into.set(held.subarray(offset, offset + into.length)),
    writeAt: (offset, added) => {
      const end = offset + added.length;
      if (end > held.length) {
        const larger = new Uint8Array(Math.max(end, 2 * held.length));
        larger.set(held.subarray(0, size));
        held = larger;
      }
      held.set(added, offset);
      size = Math.max(size, end);
    },
    truncate: (to) => (size = Math.min(size, to)),
  };
}

/** Node's libraries, which end with the program. */
const kept = new Map<string, Growing[]>();

function busy(name: string, cause?: unknown): StepladderError {
  const hint = "wait until it is done, stop it, or close the tab in which it works";
  return new StepladderError("busy", `the library \`${name}\` is at work, here or in another tab`, hint, { cause });
}

function noSpace(name: string): StepladderError {
  const hint = "delete models, runs or libraries that you no longer need, and call again: what was learnt until its last epoch is kept";
  return new StepladderError("quota", `the browser has no space for the library \`${name}\``, hint);
}

async function home(create: boolean): Promise<FileSystemDirectoryHandle | undefined> {
  if (navigator.storage?.getDirectory === undefined) throw noStore();
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create });
  } catch (cause) {
    if (!create) return undefined;
    throw noStore(cause);
  }
}

function noStore(cause?: unknown): StepladderError {
  return new StepladderError("storage", "this browser lets the page store no files", "allow the site to store data, or leave the private window", { cause });
}

/** The library of a name; `undefined` for one that is only read and is not there. While another worker writes it, a copy is read. */
export async function openLibrary(name: string, access: "read" | "write"): Promise<OpenLibrary | undefined> {
  if (name === "") throw new StepladderError("usage", "the library has an empty name", "give it a name");
  if (isNode()) {
    const files = kept.get(name) ?? FILES.map(() => inMemory(new Uint8Array()));
    if (access === "write") kept.set(name, files);
    return opened(name, files, true, () => undefined);
  }
  const folders = await home(access === "write");
  const release = await tryHold(`library ${name}`);
  if (release === undefined && access === "write") throw busy(name);
  const handles: SyncFile[] = [];
  const close = (): void => {
    handles.forEach((handle) => handle.close());
    release?.();
  };
  try {
    const folder = await folders?.getDirectoryHandle(encodeURIComponent(name), { create: access === "write" }).catch((cause: unknown) => {
      if (cause instanceof DOMException && cause.name === "NotFoundError") return undefined;
      throw cause;
    });
    if (folder === undefined) return close(), undefined;
    if (release === undefined) {
      const file = await (await folder.getFileHandle(FILES[0])).getFile();
      return opened(name, [inMemory(new Uint8Array(await file.arrayBuffer()))], false, close);
    }
    let failed: StepladderError | undefined;
    const note = (error: StepladderError): StepladderError => (failed = error);
    for (const file of FILES) handles.push(await syncHandle(await folder.getFileHandle(file, { create: true })));
    const library = opened(name, handles.map((handle) => inStore(name, handle, note)), true, close);
    return { ...library, failed: () => failed };
  } catch (cause) {
    close();
    if (cause instanceof StepladderError || (cause as { code?: unknown }).code === "input") throw cause;
    if (cause instanceof DOMException && cause.name === "NoModificationAllowedError") throw busy(name, cause);
    if (cause instanceof DOMException && cause.name === "QuotaExceededError") throw noSpace(name);
    const hint = "reload the page and try again; if the site's data was cleared, the library went with it";
    throw new StepladderError("storage", `the library \`${name}\` cannot be opened: ${describe(cause)}`, hint, { cause });
  }
}

function opened(name: string, files: Growing[], writable: boolean, close: () => void): OpenLibrary {
  const library = new LessonLibrary(name, files);
  return {
    library,
    writable,
    failed: () => undefined,
    close: () => {
      library.free();
      close();
    },
  };
}

/** A file of the private file system; what cannot be written is noted. */
function inStore(name: string, handle: SyncFile, note: (error: StepladderError) => StepladderError): Growing {
  const guarded = <Answer>(work: () => Answer): Answer => {
    try {
      return work();
    } catch (cause) {
      if (cause instanceof StepladderError) throw cause;
      const hint = "it may be that the site's data was cleared; reload the page";
      throw note(new StepladderError("storage", `the files of the library \`${name}\` cannot be reached: ${describe(cause)}`, hint, { cause }));
    }
  };
  return {
    size: () => guarded(() => sizeOf(handle)),
    readAt: (offset, into) => guarded(() => void handle.read(into, { at: offset })),
    writeAt: (offset, bytes) =>
      guarded(() => {
        if (!write(handle, bytes, offset)) throw note(noSpace(name));
        handle.flush();
      }),
    truncate: (size) =>
      guarded(() => {
        handle.truncate(size);
        handle.flush();
      }),
  };
}

/** Names of the libraries in this browser's store. */
export async function libraryNames(): Promise<string[]> {
  if (isNode()) return [...kept.keys()];
  const names: string[] = [];
  const folders = await home(false);
  if (folders !== undefined) for await (const folder of folders.keys()) names.push(decodeURIComponent(folder));
  return names.sort();
}

/** Deletes a library with all that it knows. */
export async function removeLibrary(name: string): Promise<void> {
  if (isNode()) return void kept.delete(name);
  const release = await tryHold(`library ${name}`);
  if (release === undefined) throw busy(name);
  try {
    await (await home(false))?.removeEntry(encodeURIComponent(name), { recursive: true });
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
    if (cause.name === "NoModificationAllowedError") throw busy(name, cause);
    if (cause.name !== "NotFoundError") throw cause;
  } finally {
    release();
  }
}
