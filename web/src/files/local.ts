// Files that the user already has: one file, files of a folder, a folder's handle.

import { StepladderError } from "../errors.js";
import { isTextFile, isWeights } from "./names.js";

export interface LocalFile {
  name: string;
  blob: Blob;
}

/** One file is a GGUF; it cannot be known what else it should be, and the reader says so if it is not. */
export function localFile(blob: Blob): { name: string; files: LocalFile[] } {
  const name = blob instanceof File ? blob.name : "model.gguf";
  return { name, files: [{ name: /\.gguf$/i.test(name) ? name : `${name}.gguf`, blob }] };
}

export async function directoryFiles(directory: FileSystemDirectoryHandle): Promise<{ name: string; files: LocalFile[] }> {
  const files: LocalFile[] = [];
  for await (const [name, handle] of directory.entries()) {
    if (handle.kind === "file" && (isTextFile(name) || isWeights(name))) {
      files.push({ name, blob: await (handle as FileSystemFileHandle).getFile() });
    }
  }
  return choose(directory.name, files);
}

/** Files of a dropped or chosen folder; deeper folders are not looked into. */
export function listedFiles(list: readonly File[]): { name: string; files: LocalFile[] } {
  const depth = (file: File) => (file.webkitRelativePath || file.name).split("/").length;
  const top = Math.min(...list.map(depth));
  const files = list
    .filter((file) => depth(file) === top && (isTextFile(file.name) || isWeights(file.name)))
    .map((file) => ({ name: file.name, blob: file }));
  const folder = list[0]?.webkitRelativePath.split("/").at(-2);
  return choose(folder ?? "my model", files);
}

function choose(name: string, files: LocalFile[]): { name: string; files: LocalFile[] } {
  const has = (wanted: RegExp) => files.some((file) => wanted.test(file.name));
  if (has(/^config\.json$/) && has(/\.safetensors$/)) {
    return { name, files: files.filter((file) => !/\.gguf$/i.test(file.name)) };
  }
  const ggufs = files.filter((file) => /\.gguf$/i.test(file.name));
  if (ggufs.length === 1) return { name, files: ggufs };
  if (ggufs.length > 1) {
    const names = ggufs.map((file) => file.name).join(", ");
    throw new StepladderError("input", `${name} holds ${ggufs.length} models: ${names}`, "choose one of the files");
  }
  throw new StepladderError(
    "input",
    `${name} holds no model`,
    "choose a .gguf file, or a folder with config.json, tokenizer.json and *.safetensors",
  );
}
