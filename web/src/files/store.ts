// Models in the browser's private file system: a folder for each source, with a manifest and the files.
//
// A file is complete when the manifest holds its digest. What is there without one is the first part of a download.

import { StepladderError, describe } from "../errors.js";
import { hashText } from "./hash.js";

const ROOT = "stepladder-models";
const MANIFEST = "manifest.json";

/** A file that is read and written in place; TypeScript declares it for programs that are workers and nothing else. */
export interface SyncFile {
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** What is known about a file of a model. */
export interface FileEntry {
  name: string;
  url: string;
  /** Bytes of the whole file, once known. */
  size?: number | undefined;
  /** The server's mark of this version; another one means another file. */
  version?: string | undefined;
  /** SHA-256 that the server announced. */
  expected?: string | undefined;
  /** Git's digest of the file, announced where there is no SHA-256. */
  blob?: string | undefined;
  /** Digest of the complete file. */
  sha256?: string | undefined;
}

export interface Manifest {
  source: string;
  /** Whether `files` names all files of the model. */
  listed: boolean;
  files: FileEntry[];
}

/** The folder of one source. */
export class ModelFolder {
  private constructor(
    private readonly handle: FileSystemDirectoryHandle,
    readonly manifest: Manifest,
  ) {}

  static async open(source: string): Promise<ModelFolder> {
    const root = await storeRoot(true);
    const handle = await root.getDirectoryHandle(folderName(source), { create: true });
    const manifest = (await readManifest(handle)) ?? { source, listed: false, files: [] };
    return new ModelFolder(handle, manifest);
  }

  /** Writes the manifest. A torn one reads as none, so that a crash costs a download and never gives a wrong file. */
  async save(): Promise<void> {
    const access = await openExclusive(this.handle, MANIFEST, this.manifest.source);
    try {
      const bytes = new TextEncoder().encode(JSON.stringify(this.manifest));
      access.truncate(0);
      if (access.write(bytes, { at: 0 }) !== bytes.length) throw new DOMException("no space left", "QuotaExceededError");
      access.flush();
    } finally {
      access.close();
    }
  }

  /** The file's bytes for writing; no other tab can have them at the same time. */
  write(name: string): Promise<SyncFile> {
    return openExclusive(this.handle, fileName(name), this.manifest.source);
  }

  /** The file as it is, or nothing. */
  async read(name: string): Promise<File | undefined> {
    try {
      return await (await this.handle.getFileHandle(fileName(name))).getFile();
    } catch {
      return undefined;
    }
  }

  async remove(name: string): Promise<void> {
    await this.handle.removeEntry(fileName(name)).catch(() => undefined);
  }
}

/** The store's folder. Without one there is nothing to list and no place to keep anything. */
export async function storeRoot(create: boolean): Promise<FileSystemDirectoryHandle> {
  try {
    const root = await navigator.storage.getDirectory();
    return await root.getDirectoryHandle(ROOT, { create });
  } catch (error) {
    if (!create && error instanceof DOMException && error.name === "NotFoundError") throw error;
    if (error instanceof DOMException && error.name === "QuotaExceededError") throw error;
    throw new StepladderError(
      "storage",
      `this browser gives the page no private file system (${describe(error)})`,
      "leave private browsing, or let the site store data (a frame needs allow-same-origin in its sandbox attribute); or load with " +
        "the option cache: false, which keeps the model in memory only",
      { cause: error },
    );
  }
}

/** Every model of the store that has a readable manifest. */
export async function* storedModels(): AsyncGenerator<{ folder: string; manifest: Manifest; sizes: Map<string, number> }> {
  let root: FileSystemDirectoryHandle;
  try {
    root = await storeRoot(false);
  } catch (error) {
    if (error instanceof DOMException) return;
    throw error;
  }
  for await (const [folder, handle] of root.entries()) {
    if (!(handle instanceof FileSystemDirectoryHandle)) continue;
    const manifest = await readManifest(handle);
    if (!manifest) continue;
    const sizes = new Map<string, number>();
    for (const { name } of manifest.files) {
      const file = await handle.getFileHandle(fileName(name)).then((found) => found.getFile(), () => undefined);
      sizes.set(name, file?.size ?? 0);
    }
    yield { folder, manifest, sizes };
  }
}

/** Deletes what is kept of a source. */
export async function removeStored(source: string): Promise<void> {
  try {
    await (await storeRoot(false)).removeEntry(folderName(source), { recursive: true });
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotFoundError") return;
    if (error instanceof DOMException && error.name === "NoModificationAllowedError") throw busy(source, error);
    throw error;
  }
}

/** Digest of the source, so that any address makes a valid name. */
function folderName(source: string): string {
  return hashText(source).slice(0, 32);
}

/** File names come from servers: only their digest and a harmless rest reach the file system. */
function fileName(name: string): string {
  return `${hashText(name).slice(0, 16)}-${name.replace(/[^A-Za-z0-9._-]/g, "_").slice(-80)}`;
}

async function readManifest(folder: FileSystemDirectoryHandle): Promise<Manifest | undefined> {
  try {
    const file = await (await folder.getFileHandle(MANIFEST)).getFile();
    const value = JSON.parse(await file.text()) as Manifest;
    return typeof value.source === "string" && Array.isArray(value.files) ? value : undefined;
  } catch {
    return undefined;
  }
}

async function openExclusive(
  folder: FileSystemDirectoryHandle,
  name: string,
  source: string,
): Promise<SyncFile> {
  const file = await folder.getFileHandle(name, { create: true });
  try {
    return await (file as unknown as { createSyncAccessHandle(): Promise<SyncFile> }).createSyncAccessHandle();
  } catch (error) {
    if (error instanceof DOMException && error.name === "NoModificationAllowedError") throw busy(source, error);
    throw error;
  }
}

function busy(source: string, cause: unknown): StepladderError {
  const hint = "close the other tab, or wait until it is done";
  return new StepladderError("busy", `${source} is being downloaded by another tab of this page`, hint, { cause });
}
