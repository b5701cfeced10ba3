// A model's files, wherever they come from, opened for synchronous reading. Runs in the worker.

import { StepladderError } from "../errors.js";
import type { CachedModel, LoadOptions, LoadProgress, Source } from "../types.js";
import { download, verify } from "./download.js";
import { directoryFiles, listedFiles, localFile, type LocalFile } from "./local.js";
import { loadIntoMemory } from "./memory.js";
import { checkQuota, quotaError } from "./quota.js";
import { type OpenedFile, openBlob } from "./reader.js";
import { parseRemote, type Remote } from "./remote.js";
import { type FileEntry, ModelFolder, removeStored, storedModels } from "./store.js";

export type { OpenedFile } from "./reader.js";

export interface OpenedFiles {
  name: string;
  files: OpenedFile[];
  close(): void;
}

/** Opens every source but the embedded model. */
export async function openSource(source: Source, options: LoadOptions = {}): Promise<OpenedFiles> {
  if (typeof source === "string" || source instanceof URL) {
    const remote = parseRemote(String(source), options);
    const report = throttle(options.onProgress);
    const load = options.cache === false ? loadIntoMemory : fromStore;
    const files = await load(remote, report).catch(async (error: unknown) => {
      const full = error instanceof DOMException && error.name === "QuotaExceededError";
      throw full ? await quotaError(remote.name, undefined, error) : error;
    });
    return opened(remote.name, files);
  }
  const { name, files } = await localSource(source);
  return opened(name, files);
}

/** The files of a source that is here already. */
export async function localSource(source: Exclude<Source, string | URL>): Promise<{ name: string; files: LocalFile[] }> {
  if (source instanceof Blob) return localFile(source);
  if (!Array.isArray(source)) return directoryFiles(source as FileSystemDirectoryHandle);
  if (source.length === 1) return localFile(source[0] as File);
  return listedFiles(source as File[]);
}

async function opened(name: string, files: LocalFile[]): Promise<OpenedFiles> {
  const list = await Promise.all(files.map((file) => openBlob(file.name, file.blob)));
  return { name, files: list, close: () => list.splice(0) };
}

type Report = (progress: LoadProgress) => void;

/** The files of a remote model: from the store as far as they are there, else downloaded into it. */
async function fromStore(remote: Remote, report: Report): Promise<LocalFile[]> {
  const folder = await ModelFolder.open(remote.key);
  const { manifest } = folder;
  if (!manifest.listed) {
    const known = new Map(manifest.files.map((entry) => [entry.name, entry]));
    const listed = await remote.list(async (entry) => {
      manifest.files = merge([...manifest.files.filter((file) => file.name !== entry.name), entry], known);
      const current = manifest.files.at(-1) as FileEntry;
      await complete(folder, current, remote, report);
      known.set(current.name, current);
      return (await readComplete(folder, current)).text();
    });
    manifest.files = merge(listed, known);
    manifest.listed = true;
    await checkSpace(folder, remote);
    await folder.save();
  }
  const files: LocalFile[] = [];
  for (const entry of manifest.files) {
    await complete(folder, entry, remote, report);
    files.push({ name: entry.name, blob: await readComplete(folder, entry) });
  }
  return files;
}

/** New entries, with what is known of a file from before where it is the same version of it. */
function merge(entries: FileEntry[], known: Map<string, FileEntry>): FileEntry[] {
  return entries.map((entry) => {
    const before = known.get(entry.name);
    return before?.url === entry.url && before.expected === entry.expected ? { ...entry, ...before } : entry;
  });
}

async function checkSpace(folder: ModelFolder, remote: Remote): Promise<void> {
  let needed = 0;
  for (const entry of folder.manifest.files) {
    needed += Math.max(0, (entry.size ?? 0) - ((await folder.read(entry.name))?.size ?? 0));
  }
  await checkQuota(remote.name, needed);
}

/** Makes sure that a file is in the store, whole and unchanged. */
async function complete(folder: ModelFolder, entry: FileEntry, remote: Remote, report: Report): Promise<void> {
  const step = (stage: "download" | "cache") => (done: number, total: number | undefined) =>
    report({ stage, file: entry.name, done, total });
  if (entry.sha256 !== undefined) {
    const file = await folder.read(entry.name);
    if (file && (await verify(file, entry, remote.access.signal, step("cache")))) return;
    // Damaged, or deleted by the browser: without its digest it counts as not downloaded.
    await folder.remove(entry.name);
    entry.sha256 = undefined;
  }
  await download(folder, entry, remote.access, step("download"));
}

async function readComplete(folder: ModelFolder, entry: FileEntry): Promise<File> {
  const file = await folder.read(entry.name);
  if (file) return file;
  throw new StepladderError("storage", `${entry.name} vanished from this browser's store`, "load the model again");
}

/** At most some reports a second, and always a file's first and last. */
function throttle(listener: ((progress: LoadProgress) => void) | undefined): Report {
  let file = "";
  let last = 0;
  return (progress) => {
    const now = performance.now();
    if (progress.file === file && progress.done !== progress.total && now - last < 80) return;
    [file, last] = [progress.file, now];
    listener?.(progress);
  };
}

/** The models kept in this browser, parts of broken downloads included. */
export async function listCached(): Promise<CachedModel[]> {
  const models: CachedModel[] = [];
  for await (const { manifest, sizes } of storedModels()) {
    const files = manifest.files.map((entry) => {
      const size = sizes.get(entry.name) ?? 0;
      return { name: entry.name, bytes: size, complete: entry.sha256 !== undefined && size === entry.size };
    });
    models.push({ source: manifest.source, bytes: files.reduce((sum, file) => sum + file.bytes, 0), files });
  }
  return models;
}

/** Deletes a model from this browser's store, by its source or by its name in `listCached()`. */
export async function removeCached(source: string, options: { endpoint?: string } = {}): Promise<void> {
  const stored = (await listCached()).some((model) => model.source === source);
  await removeStored(stored ? source : parseRemote(source, options).key);
}

/** Bytes of all models kept. */
export async function cacheSize(): Promise<number> {
  return (await listCached()).reduce((sum, model) => sum + model.bytes, 0);
}
