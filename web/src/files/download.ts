// A file from a server, in pieces, from where an earlier try stopped.

import { StepladderError, checkSignal, pause } from "../errors.js";
import { StreamingHash, gitBlob } from "./hash.js";
import { checkQuota, quotaError } from "./quota.js";
import { type Access, PAGE_BYTES, TRIES, describeFile, isPage, pageInstead, pieces, request, unreachable } from "./request.js";
import type { FileEntry, SyncFile } from "./store.js";

export type Report = (done: number, total: number | undefined) => void;

const PIECE = 16 << 20;

/** Where the bytes of a download go. */
export interface Sink {
  /** Bytes that are there. */
  readonly size: number;
  /** Adds bytes, or throws a `QuotaExceededError` and leaves what was there. */
  append(bytes: Uint8Array<ArrayBuffer>): void;
  clear(): void;
  /** Everything from the beginning, in pieces. */
  read(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** A file of the store. */
export class FileSink implements Sink {
  size: number;

  constructor(private readonly file: SyncFile) {
    this.size = file.getSize();
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
    this.size += bytes.length;
  }

  clear(): void {
    this.file.truncate(0);
    this.size = 0;
  }

  *read(): Iterable<Uint8Array> {
    const piece = new Uint8Array(Math.min(PIECE, this.size));
    for (let at = 0; at < this.size; at += piece.length) {
      yield piece.subarray(0, this.file.read(piece, { at }));
    }
  }
}

/** Completes `entry`'s file in `sink` and records size and digest in the entry; `save` keeps what is known of it. */
export async function download(sink: Sink, entry: FileEntry, access: Access, report: Report, save: () => Promise<void>): Promise<void> {
  const target = new Target(sink, entry);
  try {
    await target.hashPart(access.signal);
    report(sink.size, entry.size);
    for (let [tries, most] = [0, sink.size]; ; ) {
      try {
        while (!target.complete) await receive(target, access, report, save);
        const digest = target.hash.hex();
        if (await target.isRight(digest)) {
          entry.size = sink.size;
          entry.sha256 = digest;
          break;
        }
        if (!target.resumed) throw checksumError(entry, digest);
        // Put together of two versions of the file.
        target.restart();
      } catch (error) {
        if (!(error instanceof BrokenOff)) throw error;
        tries = sink.size > most ? 0 : tries + 1;
        most = Math.max(most, sink.size);
        if (tries === TRIES || access.signal?.aborted || globalThis.navigator?.onLine === false) {
          throw await unreachable(entry.url, error.cause, access);
        }
        await pause(250 * 2 ** tries, access.signal);
        checkSignal(access.signal, `the download of ${entry.url}`);
      }
    }
  } catch (error) {
    if (error instanceof DOMException && error.name === "QuotaExceededError") {
      const whole = entry.size ?? target.announced;
      throw await quotaError(entry.url, whole === undefined ? undefined : whole - sink.size, error);
    }
    // What is not the file is not kept as the beginning of it.
    if (error instanceof StepladderError && error.code === "checksum") target.restart();
    throw error;
  }
  await save();
}

/** The part that is there with its digest so far. */
class Target {
  hash = new StreamingHash();
  complete = false;
  /** Whether the bytes came in more than one answer. */
  resumed = false;
  /** Bytes of the whole file as the last answer told them, right or not. */
  announced: number | undefined;

  constructor(
    readonly sink: Sink,
    readonly entry: FileEntry,
  ) {
    if (entry.size !== undefined && sink.size > entry.size) this.restart();
    this.complete = entry.size !== undefined && sink.size === entry.size;
    this.resumed = sink.size > 0;
  }

  /** Whether answers of two requests may be put together: a digest tells at the end, or each answer's mark at once. */
  get resumable(): boolean {
    return this.entry.expected !== undefined || this.entry.version !== undefined;
  }

  async hashPart(signal: AbortSignal | undefined): Promise<void> {
    if (!this.resumable) this.restart();
    for await (const piece of this.sink.read()) {
      this.hash.update(piece);
      // An abort is heard between two tasks only.
      await pause(0, signal);
      checkSignal(signal, `the download of ${this.entry.url}`);
    }
  }

  restart(): void {
    this.sink.clear();
    this.hash = new StreamingHash();
    this.complete = this.resumed = false;
    // A hub's list told the size of what it gave a digest of.
    if (this.entry.expected === undefined && this.entry.blob === undefined) this.entry.size = undefined;
    this.entry.version = undefined;
  }

  append(bytes: Uint8Array<ArrayBuffer>): void {
    this.sink.append(bytes);
    this.hash.update(bytes);
  }

  /** Whether the file is the one that the server announced, as far as it announced any. */
  async isRight(digest: string): Promise<boolean> {
    const { expected, blob } = this.entry;
    if (expected !== undefined) return digest === expected;
    if (blob === undefined) return true;
    const git = await gitBlob(this.sink.size, this.sink.read());
    return git === undefined || git === blob;
  }
}

/** The connection ended early; another try may go on. */
class BrokenOff extends Error {}

async function receive(target: Target, access: Access, report: Report, save: () => Promise<void>): Promise<void> {
  const { entry, sink } = target;
  if (!target.resumable && sink.size > 0) target.restart();
  const response = await request(entry.url, access, [200, 206, 416], { from: sink.size });
  if (response.status === 416) {
    // Nothing after the part: either it is the whole file, or the server's file is another, shorter one. Both are
    // settled by getting it anew, as its size was not known.
    await response.body?.cancel();
    target.restart();
    return;
  }
  const { version, total, exact, start } = describeFile(response, entry.name);
  if (response.status === 206 && sink.size > 0) {
    const other = (known: unknown, told: unknown) => known !== undefined && told !== undefined && known !== told;
    // Without a digest the answer has to show the mark of the part's own version.
    const same = entry.expected === undefined ? version === entry.version : !other(entry.version, version);
    // A hidden Content-Range cannot contradict: a server that answers 206 was asked for exactly this start.
    const here = Number.isNaN(start) || start === sink.size;
    if (!same || !here || other(entry.size, total)) {
      await response.body?.cancel();
      target.restart();
      return;
    }
    target.resumed = true;
  } else if (sink.size > 0) {
    target.restart();
  }
  entry.version ??= version;
  target.announced = total;
  if (entry.size === undefined && exact) entry.size = total;
  if (total !== undefined) {
    await checkQuota(entry.url, total - sink.size).catch(async (error: unknown) => {
      await response.body?.cancel();
      throw error;
    });
  }
  await save();
  await readBody(response, target, access.signal, (done) => report(done, entry.size ?? (total !== undefined && done <= total ? total : undefined)));
  // A length that may be a compressed body's is larger than the file only where nothing can be compressed, and then by little.
  const least = entry.size ?? (total === undefined ? 0 : total - total / 100 - 1024);
  if (sink.size < least) {
    throw new BrokenOff("", { cause: new Error(`${sink.size} of ${entry.size ?? total} bytes arrived`) });
  }
  if (entry.size !== undefined && sink.size > entry.size) {
    const announced = entry.size;
    target.restart();
    const hint = "load again; if it stays so, the server is at fault";
    throw new StepladderError("download", `${entry.url}: more bytes arrived than the announced ${announced}`, hint);
  }
  target.complete = true;
}

async function readBody(response: Response, target: Target, signal: AbortSignal | undefined, report: (done: number) => void): Promise<void> {
  /** The first bytes of the file, until there are enough of them to know a page. */
  let head = target.sink.size === 0 ? new Uint8Array() : undefined;
  const take = (bytes: Uint8Array<ArrayBuffer>): void => {
    if (isPage(bytes) && target.sink.size === 0) throw pageInstead(target.entry.url);
    target.append(bytes);
    report(target.sink.size);
  };
  const body = pieces(response);
  for (;;) {
    const piece = await body.next().catch((error: unknown) => {
      checkSignal(signal, `the download of ${target.entry.url}`);
      throw new BrokenOff("", { cause: error });
    });
    try {
      if (piece.done === true) {
        if (head !== undefined) take(head);
        return;
      }
      if (head === undefined) {
        take(piece.value);
        continue;
      }
      const longer = new Uint8Array(head.length + piece.value.length);
      longer.set(head);
      longer.set(piece.value, head.length);
      head = longer.length < PAGE_BYTES ? longer : undefined;
      if (head === undefined) take(longer);
    } catch (error) {
      await body.return(undefined);
      throw error;
    }
  }
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

function checksumError(entry: FileEntry, digest: string): StepladderError {
  const problem =
    entry.expected === undefined
      ? `the file is not the one of git's digest ${entry.blob}, which the hub announced`
      : `the file's SHA-256 is ${digest}, and the server announced ${entry.expected}`;
  return new StepladderError(
    "checksum",
    `${entry.url}: ${problem}`,
    "load again: it is downloaded anew; if it stays so, the server or something between changes the file",
  );
}
