// Downloads that are not to be kept: into blobs, which the browser holds outside of the page's heap.

import { download, type Sink } from "./download.js";
import type { LocalFile } from "./local.js";
import type { Remote } from "./remote.js";
import type { FileEntry } from "./store.js";
import type { LoadProgress } from "../types.js";

/** Pieces are put together to blobs of this size, so that no more of a file is in the heap. */
const PIECE = 8 << 20;

/** A file in memory. */
class MemorySink implements Sink {
  size = 0;
  #blobs: Blob[] = [];
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  #held = 0;

  append(bytes: Uint8Array<ArrayBuffer>): void {
    this.#pieces.push(bytes);
    this.#held += bytes.length;
    this.size += bytes.length;
    if (this.#held >= PIECE) this.blob();
  }

  clear(): void {
    [this.#blobs, this.#pieces, this.#held, this.size] = [[], [], 0, 0];
  }

  async *read(): AsyncIterable<Uint8Array> {
    this.blob();
    for (const blob of this.#blobs) yield new Uint8Array(await blob.arrayBuffer());
  }

  blob(): Blob {
    if (this.#held > 0) this.#blobs.push(new Blob(this.#pieces));
    [this.#pieces, this.#held] = [[], 0];
    return new Blob(this.#blobs);
  }
}

export async function loadIntoMemory(remote: Remote, report: (progress: LoadProgress) => void): Promise<LocalFile[]> {
  const done = new Map<string, Blob>();
  const get = async (entry: FileEntry): Promise<Blob> => {
    const known = done.get(entry.url);
    if (known !== undefined) return known;
    const sink = new MemorySink();
    const step = (done: number, total: number | undefined): void => report({ stage: "download", file: entry.name, done, total });
    await download(sink, entry, remote.access, step, async () => undefined);
    done.set(entry.url, sink.blob());
    return sink.blob();
  };
  const entries = await remote.list(async (entry) => (await get(entry)).text());
  const files: LocalFile[] = [];
  for (const entry of entries) files.push({ name: entry.name, blob: await get(entry) });
  return files;
}
