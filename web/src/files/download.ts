// A file from a server into the store, in pieces, from where an earlier try stopped.

import { StepladderError, checkSignal } from "../errors.js";
import { StreamingHash } from "./hash.js";
import { checkQuota, quotaError } from "./quota.js";
import { type Access, describeFile, request, unreachable } from "./request.js";
import type { FileEntry, ModelFolder, SyncFile } from "./store.js";

export type Report = (done: number, total: number | undefined) => void;

/** Tries without a single new byte before a download gives up. */
const TRIES = 4;
const PIECE = 4 << 20;

/** Completes `entry`'s file in `folder` and records its digest. */
export async function download(folder: ModelFolder, entry: FileEntry, access: Access, report: Report): Promise<void> {
  const file = await folder.write(entry.name);
  try {
    const target = new Target(file, entry, await hashPart(file, access.signal));
    report(target.size, entry.size);
    for (let tries = 0; !target.complete; ) {
      const before = target.size;
      try {
        await receive(folder, target, access, report);
      } catch (error) {
        if (!(error instanceof BrokenOff)) throw error;
        tries = target.size > before ? 0 : tries + 1;
        if (tries === TRIES || access.signal?.aborted || globalThis.navigator?.onLine === false) {
          throw unreachable(entry.url, error.cause, access.signal);
        }
        await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** tries));
      }
    }
    file.flush();
    const digest = target.hash.hex();
    if (entry.expected !== undefined && digest !== entry.expected) {
      file.truncate(0);
      throw checksumError(entry, digest);
    }
    entry.size = target.size;
    entry.sha256 = digest;
  } catch (error) {
    if (error instanceof DOMException && error.name === "QuotaExceededError") {
      throw await quotaError(entry.url, entry.size === undefined ? undefined : entry.size - file.getSize(), error);
    }
    throw error;
  } finally {
    file.close();
  }
  await folder.save();
}

/** The part on disk with its digest so far. */
class Target {
  complete: boolean;

  constructor(
    readonly file: SyncFile,
    readonly entry: FileEntry,
    public hash: StreamingHash,
    public size = file.getSize(),
  ) {
    if (entry.size !== undefined && size > entry.size) this.restart();
    this.complete = entry.size !== undefined && this.size === entry.size;
  }

  restart(): void {
    this.file.truncate(0);
    this.hash = new StreamingHash();
    this.size = 0;
  }

  append(bytes: Uint8Array): void {
    let written = 0;
    while (written < bytes.length) {
      const rest = bytes.subarray(written);
      const count = this.file.write(rest, { at: this.size + written });
      // Without space left, Chromium neither throws nor writes: it gives back a negative number, read as unsigned.
      if (!(count > 0 && count <= rest.length)) {
        this.file.truncate(this.size);
        throw new DOMException("no space left", "QuotaExceededError");
      }
      written += count;
    }
    this.hash.update(bytes);
    this.size += bytes.length;
  }
}

/** The connection ended early; another try may go on. */
class BrokenOff extends Error {}

async function receive(folder: ModelFolder, target: Target, access: Access, report: Report): Promise<void> {
  const { entry } = target;
  let response: Response;
  try {
    response = await request(entry.url, access, [200, 206, 416], target.size);
  } catch (error) {
    if (error instanceof StepladderError && error.cause !== undefined) throw new BrokenOff("", { cause: error.cause });
    throw error;
  }
  if (response.status === 416) {
    // Nothing after the part: either it is the whole file, or the server's file is another, shorter one. Both are
    // settled by getting it anew, as its size was not known.
    target.restart();
    return;
  }
  const { version, total, start } = describeFile(response, entry.name);
  const other = (known: unknown, told: unknown) => known !== undefined && told !== undefined && known !== told;
  const changed = target.size > 0 && (other(entry.version, version) || other(entry.size, total));
  // A hidden Content-Range cannot contradict: a server that answers 206 was asked for exactly this start.
  const elsewhere = response.status === 206 && !Number.isNaN(start) && start !== target.size;
  if (changed || elsewhere) {
    await response.body?.cancel();
    target.restart();
    Object.assign(entry, { version: undefined, size: entry.expected === undefined ? undefined : entry.size });
    return;
  }
  if (response.status === 200 && target.size > 0) target.restart();
  entry.version ??= version;
  if (entry.size === undefined && total !== undefined) {
    entry.size = total;
    await checkQuota(entry.url, total - target.size).catch(async (error: unknown) => {
      await response.body?.cancel();
      throw error;
    });
  }
  await folder.save();
  await readBody(response, target, access.signal, report);
  if (entry.size !== undefined && target.size < entry.size) {
    throw new BrokenOff("", { cause: new Error(`${target.size} of ${entry.size} bytes arrived`) });
  }
  if (entry.size !== undefined && target.size > entry.size) {
    target.restart();
    const hint = "load again; if it stays so, the server is at fault";
    throw new StepladderError("download", `${entry.url}: more bytes arrived than the announced ${entry.size}`, hint);
  }
  target.complete = true;
}

async function readBody(response: Response, target: Target, signal: AbortSignal | undefined, report: Report): Promise<void> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (;;) {
    let piece: ReadableStreamReadResult<Uint8Array>;
    try {
      piece = await reader.read();
    } catch (error) {
      checkSignal(signal, `the download of ${target.entry.url}`);
      throw new BrokenOff("", { cause: error });
    }
    if (piece.done) return;
    try {
      target.append(piece.value);
    } catch (error) {
      await reader.cancel();
      throw error;
    }
    report(target.size, target.entry.size);
  }
}

/** The digest of what is on disk. */
async function hashPart(file: SyncFile, signal: AbortSignal | undefined): Promise<StreamingHash> {
  const hash = new StreamingHash();
  const size = file.getSize();
  const piece = new Uint8Array(Math.min(PIECE, size));
  for (let at = 0; at < size; at += piece.length) {
    checkSignal(signal, "the download");
    const count = file.read(piece, { at });
    hash.update(piece.subarray(0, count));
  }
  return hash;
}

/** Whether a complete file still has its digest; reports how much is read. */
export async function verify(file: Blob, entry: FileEntry, signal: AbortSignal | undefined, report: Report): Promise<boolean> {
  if (file.size !== entry.size) return false;
  const hash = new StreamingHash();
  for (let at = 0; at < file.size; at += PIECE) {
    checkSignal(signal, `loading ${entry.name}`);
    hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
    report(Math.min(at + PIECE, file.size), file.size);
  }
  return hash.hex() === entry.sha256;
}

export function checksumError(entry: FileEntry, digest: string): StepladderError {
  return new StepladderError(
    "checksum",
    `${entry.url}: the file's SHA-256 is ${digest}, and the server announced ${entry.expected}`,
    "load again: it is downloaded anew; if it stays so, the server or something between changes the file",
  );
}
