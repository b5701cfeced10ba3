// A model's files, wherever they come from, opened for synchronous reading. Runs in the worker.

import { StepladderError, checkSignal } from "../errors.js";
import { hold } from "../locks.js";
import type { CachedModel, LoadOptions, LoadProgress, Source } from "../types.js";
import { FileSink, download, verify } from "./download.js";
import { directoryFiles, listedFiles, localFile, type LocalFile } from "./local.js";
import { loadIntoMemory } from "./memory.js";
import { checkQuota, quotaError } from "./quota.js";
import { type OpenedFile, openBlob } from "./reader.js";
import { type Access, describeFile, request } from "./request.js";
import { notASource, parseRemote, type Remote } from "./remote.js";
import { type FileEntry, ModelFolder, removeStored, storedModels } from "./store.js";

export type { OpenedFile } from "./reader.js";

export interface OpenedFiles {
  name: string;
  files: OpenedFile[];
  close(): void;
  /** Whether all comes from this browser's store. */
  stored?: boolean;
  /** Deletes the copy in this browser's store: of a model that does not open none is kept. */
  discard?(): Promise<void>;
}

/** Opens every source but the embedded model. */
export async function openSource(source: Source, options: LoadOptions = {}): Promise<OpenedFiles> {
  if (typeof source === "string" || source instanceof URL) {
    const remote = parseRemote(String(source), options);
    const report = throttle(options.onProgress);
    if (options.cache === false) {
      remote.access.kept = false;
      return opened(remote.name, await loadIntoMemory(remote, report));
    }
    let stored = true;
    const watched: Report = (progress) => {
      stored &&= progress.stage === "cache";
      report(progress);
    };
    const files = await fromStore(remote, watched, options.refresh === true).catch(async (error: unknown) => {
      const full = error instanceof DOMException && error.name === "QuotaExceededError";
      throw full ? await quotaError(remote.name, undefined, error) : error;
    });
    return { ...(await opened(remote.name, files)), stored, discard: () => removeStored(remote.key) };
  }
  const { name, files } = await localSource(source);
  return opened(name, files);
}

/** The files of a source that is here already. */
export async function localSource(source: Exclude<Source, string | URL>): Promise<{ name: string; files: LocalFile[] }> {
  if (source instanceof Blob) return localFile(source);
  if (Array.isArray(source) && source.length === 1) return localFile(source[0] as File);
  if (Array.isArray(source) && source.length > 1) return listedFiles(source as File[]);
  const directory = source as Partial<FileSystemDirectoryHandle> | undefined;
  if (typeof directory?.entries === "function" && !Array.isArray(source)) return directoryFiles(source as FileSystemDirectoryHandle);
  throw notASource(JSON.stringify(source) ?? String(source));
}

async function opened(name: string, files: LocalFile[]): Promise<OpenedFiles> {
  const list = await Promise.all(files.map((file) => openBlob(file.name, file.blob)));
  return { name, files: list, close: () => list.splice(0) };
}

type Report = (progress: LoadProgress) => void;

/**
 * The files of a remote model: from the store as far as they are there, else downloaded into it. Of several loads of one model,
 * here and in other tabs, one downloads while the others wait for it.
 */
async function fromStore(remote: Remote, report: Report, refresh: boolean): Promise<LocalFile[]> {
  const { signal } = remote.access;
  const told = setInterval(() => void tellOther(remote, report), 500);
  const release = await hold(`model ${remote.key}`, signal)
    .catch((error: unknown) => {
      checkSignal(signal, `loading ${remote.name}`);
      throw error;
    })
    .finally(() => clearInterval(told));
  try {
    return await fetched(await ModelFolder.open(remote.key), remote, report, refresh);
  } finally {
    release();
  }
}

/** Reports how far another load of the same model has come. */
async function tellOther(remote: Remote, report: Report): Promise<void> {
  for await (const { manifest, sizes } of storedModels()) {
    const entry = manifest.source === remote.key ? manifest.files.find(({ sha256 }) => sha256 === undefined) : undefined;
    if (entry !== undefined) report({ stage: "download", file: entry.name, done: sizes.get(entry.name) ?? 0, total: entry.size });
  }
}

async function fetched(folder: ModelFolder, remote: Remote, report: Report, refresh: boolean): Promise<LocalFile[]> {
  const { manifest } = folder;
  if (refresh || !manifest.listed) {
    const known = new Map(manifest.files.map((entry) => [entry.name, entry]));
    const listed = await remote.list(async (entry) => {
      manifest.files = merge([...manifest.files.filter((file) => file.name !== entry.name), entry], known);
      const current = manifest.files.at(-1) as FileEntry;
      await complete(folder, current, remote, report, refresh);
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
    await complete(folder, entry, remote, report, refresh);
    files.push({ name: entry.name, blob: await readComplete(folder, entry) });
  }
  return files;
}

/** New entries, with what is known of a file from before where it is, or may be, the same version of it. */
function merge(entries: FileEntry[], known: Map<string, FileEntry>): FileEntry[] {
  return entries.map((entry) => {
    const before = known.get(entry.name);
    if (before === undefined || before.expected !== entry.expected || before.blob !== entry.blob) return entry;
    // The hub's addresses hold the revision, in which many files are those of the one before.
    const digest = entry.expected ?? entry.blob;
    return digest !== undefined || before.url === entry.url ? { ...before, ...entry, size: before.size ?? entry.size } : entry;
  });
}

async function checkSpace(folder: ModelFolder, remote: Remote): Promise<void> {
  let needed = 0;
  for (const entry of folder.manifest.files) {
    needed += Math.max(0, (entry.size ?? 0) - ((await folder.read(entry.name))?.size ?? 0));
  }
  await checkQuota(remote.name, needed);
}

/** Makes sure that a file is in the store, whole and unchanged; with `refresh` also unchanged on its server. */
async function complete(folder: ModelFolder, entry: FileEntry, remote: Remote, report: Report, refresh: boolean): Promise<void> {
  const step = (stage: "download" | "cache") => (done: number, total: number | undefined) =>
    report({ stage, file: entry.name, done, total });
  if (entry.sha256 !== undefined) {
    const file = await folder.read(entry.name);
    const asked = refresh && entry.expected === undefined && entry.blob === undefined;
    const changed = asked && (await hasChanged(entry, remote.access));
    if (file && !changed && (await verify(file, entry, remote.access.signal, step("cache")))) return;
    // Old, damaged, or deleted by the browser: without its digest it counts as not downloaded.
    await folder.remove(entry.name);
    entry.sha256 = entry.version = undefined;
    if (asked) entry.size = undefined;
  }
  const file = await folder.write(entry.name);
  try {
    await download(new FileSink(file), entry, remote.access, step("download"), () => {
      file.flush();
      return folder.save();
    });
  } finally {
    file.close();
  }
}

/** Whether the server has another version than the one that is kept, or does not tell. */
async function hasChanged(entry: FileEntry, access: Access): Promise<boolean> {
  const response = await request(entry.url, access, [200, 304], { known: entry.version });
  await response.body?.cancel();
  if (response.status === 304) return false;
  const { version } = describeFile(response, entry.name);
  return version === undefined || version !== entry.version;
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
