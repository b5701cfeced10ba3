// Downloads that are not to be kept: into blobs, which the browser holds outside of the page's heap.

import { StreamingHash } from "./hash.js";
import { checksumError } from "./download.js";
import type { LocalFile } from "./local.js";
import { describeFile, request, unreachable } from "./request.js";
import type { Remote } from "./remote.js";
import type { FileEntry } from "./store.js";
import type { LoadProgress } from "../types.js";

/** Pieces are put together to blobs of this size, so that no more of a file is in the heap. */
const PIECE = 8 << 20;

export async function loadIntoMemory(remote: Remote, report: (progress: LoadProgress) => void): Promise<LocalFile[]> {
  const done = new Map<string, Blob>();
  const get = async (entry: FileEntry) => {
    const blob = done.get(entry.url) ?? (await receive(entry, remote, report));
    done.set(entry.url, blob);
    return blob;
  };
  const entries = await remote.list(async (entry) => (await get(entry)).text());
  const files: LocalFile[] = [];
  for (const entry of entries) files.push({ name: entry.name, blob: await get(entry) });
  return files;
}

async function receive(entry: FileEntry, remote: Remote, report: (progress: LoadProgress) => void): Promise<Blob> {
  const response = await request(entry.url, remote.access, [200]);
  const total = entry.size ?? describeFile(response, entry.name).total;
  const hash = new StreamingHash();
  const blobs: Blob[] = [];
  let pieces: Uint8Array<ArrayBuffer>[] = [];
  let held = 0;
  let size = 0;
  const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader();
  for (;;) {
    const piece = await reader.read().catch((error: unknown) => {
      throw unreachable(entry.url, error, remote.access.signal);
    });
    if (piece.value) {
      hash.update(piece.value);
      pieces.push(piece.value);
      held += piece.value.length;
      size += piece.value.length;
    }
    if (held >= PIECE || piece.done) {
      blobs.push(new Blob(pieces));
      [pieces, held] = [[], 0];
    }
    report({ stage: "download", file: entry.name, done: size, total });
    if (piece.done) break;
  }
  if (total !== undefined && size !== total) {
    throw unreachable(entry.url, new Error(`${size} of ${total} bytes arrived`), remote.access.signal);
  }
  const digest = hash.hex();
  if (entry.expected !== undefined && digest !== entry.expected) throw checksumError(entry, digest);
  return new Blob(blobs);
}
