// The beginnings of a model's files, fetched as far as the engine asks for them.

import { StepladderError } from "../errors.js";
import type { LoadOptions, Source } from "../types.js";
import { localSource, type OpenedFiles } from "./index.js";
import { INDEX, isWeights } from "./names.js";
import { type OpenedFile, openBlob } from "./reader.js";
import { parseRemote, type Remote } from "./remote.js";
import { describeFile, isPage, pageInstead, request, type Access } from "./request.js";
import { type FileEntry, ModelFolder, removeStored, storedModels } from "./store.js";

/** What is fetched of a file at first; most safetensors headers are shorter. */
const FIRST = 128 << 10;
/** More than the longest header known; a file that asks for more is no model. */
const MOST = 96 << 20;

export interface Headers extends OpenedFiles {
  /** Bytes of the model's files on the net, and of those that this browser keeps. */
  bytes: number;
  kept: number;
  /** Fetches what a read asked for in vain; false if none did. */
  more(): Promise<boolean>;
}

/** Opens a source so far that its headers can be read. */
export async function openHeaders(source: Source, options: LoadOptions): Promise<Headers> {
  if (typeof source !== "string" && !(source instanceof URL)) {
    const { name, files } = await localSource(source);
    const opened = await Promise.all(files.map((file) => openBlob(file.name, file.blob)));
    return { name, files: opened, close: () => undefined, bytes: 0, kept: 0, more: async () => false };
  }
  const remote = parseRemote(String(source), options);
  const { whole, kept } = await fromStore(remote);
  const discard = (): Promise<void> => removeStored(remote.key);
  if (whole) return { name: remote.name, files: whole, close: () => undefined, bytes: kept, kept, stored: true, discard, more: async () => false };
  const texts = new Map<string, OpenedFile>();
  const text = async (entry: FileEntry): Promise<string> => {
    const bytes = new Uint8Array(await (await request(entry.url, remote.access, [200])).arrayBuffer());
    if (isPage(bytes)) throw pageInstead(entry.url);
    texts.set(entry.name, inMemory(entry.name, bytes));
    return new TextDecoder().decode(bytes);
  };
  const entries = await remote.list(text);
  for (const entry of entries) {
    if ((entry.name === "config.json" || entry.name === INDEX) && !texts.has(entry.name)) await text(entry);
  }
  const weights = await Promise.all(entries.filter((entry) => isWeights(entry.name)).map((entry) => Beginning.open(entry, remote.access)));
  const small = entries.reduce((sum, entry) => sum + (isWeights(entry.name) ? 0 : (entry.size ?? texts.get(entry.name)?.size ?? 0)), 0);
  return {
    name: remote.name,
    files: [...texts.values(), ...weights],
    close: () => undefined,
    bytes: weights.reduce((sum, file) => sum + file.size, small),
    kept,
    async more() {
      const lacking = weights.filter((file) => file.wanted !== undefined);
      await Promise.all(lacking.map((file) => file.fetchWanted(remote.access)));
      return lacking.length > 0;
    },
  };
}

function inMemory(name: string, bytes: Uint8Array): OpenedFile {
  return { name, size: bytes.length, readAt: (offset, into) => into.set(bytes.subarray(offset, offset + into.length)) };
}

/** The files of a model that this browser keeps whole, and the bytes of what it keeps. */
async function fromStore(remote: Remote): Promise<{ whole?: OpenedFile[]; kept: number }> {
  if (globalThis.navigator?.storage?.getDirectory === undefined) return { kept: 0 };
  for await (const { manifest, sizes } of storedModels()) {
    if (manifest.source !== remote.key) continue;
    const kept = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    if (!manifest.listed || manifest.files.some((file) => file.sha256 === undefined)) return { kept };
    const folder = await ModelFolder.open(remote.key);
    const blobs = await Promise.all(manifest.files.map(async ({ name }) => ({ name, blob: await folder.read(name) })));
    if (blobs.some(({ blob }) => blob === undefined)) return { kept };
    return { whole: await Promise.all(blobs.map(({ name, blob }) => openBlob(name, blob as Blob))), kept };
  }
  return { kept: 0 };
}

/** A file on a server, of which some pieces are here. A read of anything else fails and is remembered. */
class Beginning implements OpenedFile {
  readonly #pieces: { offset: number; bytes: Uint8Array }[] = [];
  #fetched = 0;
  wanted: { offset: number; length: number } | undefined;

  private constructor(
    private readonly entry: FileEntry,
    public size: number,
  ) {}

  static async open(entry: FileEntry, access: Access): Promise<Beginning> {
    const file = new Beginning(entry, entry.size ?? Number.NaN);
    await file.#fetch(0, FIRST, access);
    if (!Number.isNaN(file.size)) return file;
    const hint = "load it without asking first; or let its server show Content-Range and Content-Length to other pages";
    throw new StepladderError("no_length", `${entry.url}: the server does not say how long the file is`, hint);
  }

  get name(): string {
    return this.entry.name;
  }

  readAt(offset: number, into: Uint8Array): void {
    const piece = this.#pieces.find((piece) => offset >= piece.offset && offset + into.length <= piece.offset + piece.bytes.length);
    if (piece === undefined) {
      this.wanted = { offset, length: into.length };
      throw new Error(`byte ${offset} of ${this.name} is not here yet`);
    }
    into.set(piece.bytes.subarray(offset - piece.offset, offset - piece.offset + into.length));
  }

  /** Gets what the last read lacked, and about as much again as is here, since headers are read from front to back. */
  async fetchWanted(access: Access): Promise<void> {
    const { offset, length } = this.wanted ?? { offset: 0, length: 0 };
    this.wanted = undefined;
    await this.#fetch(offset, Math.max(length, FIRST, Math.min(this.#fetched, 8 << 20)), access);
  }

  async #fetch(offset: number, length: number, access: Access): Promise<void> {
    const end = Math.min(offset + length, Number.isNaN(this.size) ? Infinity : this.size);
    if (this.#fetched + length > MOST) {
      const hint = "take another copy of the model; the file is damaged, or no model";
      throw new StepladderError("input", `${this.entry.url}: its header is longer than ${MOST >> 20} MB`, hint);
    }
    const response = await request(this.entry.url, access, [200, 206, 416], { from: offset, end });
    const { total } = describeFile(response, this.name);
    if (total !== undefined) this.size = total;
    else if (Number.isNaN(this.size)) this.size = await lengthOf(this.entry, access);
    // A server without ranges sends the file from its beginning; an empty file has no range to send.
    const from = response.status === 206 ? offset : 0;
    const bytes = response.status === 416 ? new Uint8Array() : await upTo(response, end - from);
    if (from === 0 && isPage(bytes)) throw pageInstead(this.entry.url);
    this.#fetched += bytes.length;
    this.#pieces.push({ offset: from, bytes });
  }
}

/** The length of a file whose server hides the range's total. */
async function lengthOf(entry: FileEntry, access: Access): Promise<number> {
  const response = await fetch(entry.url, { method: "HEAD", cache: "no-store", credentials: "omit", signal: access.signal ?? null }).catch(() => undefined);
  const length = response?.ok ? response.headers.get("content-length") : null;
  return length == null ? Number.NaN : Number(length);
}

/** The first `most` bytes of an answer; the rest is not waited for. */
async function upTo(response: Response, most: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  while (size < most) {
    const { value, done } = await reader.read();
    if (done) break;
    pieces.push(value);
    size += value.length;
  }
  await reader.cancel();
  const bytes = new Uint8Array(Math.min(size, most));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece.subarray(0, bytes.length - at), at);
    at += piece.length;
  }
  return bytes;
}
