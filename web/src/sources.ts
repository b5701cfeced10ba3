// From what a caller names as a model to open files: the tiny model of this package, paths in Node, and all else by `files/`.

import { StepladderError } from "./errors.js";
import { type OpenedFile, type OpenedFiles, openSource } from "./files/index.js";
import { unreachable } from "./files/request.js";
import { isNode, openPath, packageFile } from "./node.js";
import type { LoadOptions, Source } from "./types.js";

/** The files of the tiny model, assets of this package. Each URL stands whole so that bundlers find it. */
const TINY: readonly [string, () => URL][] = [
  ["config.json", () => new URL("./tiny/config.json", import.meta.url)],
  ["generation_config.json", () => new URL("./tiny/generation_config.json", import.meta.url)],
  ["tokenizer.json", () => new URL("./tiny/tokenizer.json", import.meta.url)],
  ["tokenizer_config.json", () => new URL("./tiny/tokenizer_config.json", import.meta.url)],
  ["model.safetensors", () => new URL("./tiny/model.safetensors", import.meta.url)],
];

/** The bytes of a file of this package, wherever it runs. */
export async function asset(url: URL, signal?: AbortSignal | undefined): Promise<Uint8Array> {
  if (url.protocol === "file:" && isNode()) return packageFile(url);
  const answer = await fetch(url, { signal: signal ?? null }).catch(async (error: unknown) => {
    throw await unreachable(url.href, error, { signal });
  });
  if (!answer.ok) {
    const hint = "serve the package's files beside its modules";
    throw new StepladderError("download", `${url.href}: status ${answer.status}`, hint);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

function inMemory(name: string, bytes: Uint8Array): OpenedFile {
  return { name, size: bytes.length, readAt: (offset, into) => into.set(bytes.subarray(offset, offset + into.length)) };
}

/** Opens a model's files, downloading what is missing. */
export async function open(source: Source, options: LoadOptions): Promise<OpenedFiles> {
  if (source === "tiny") {
    const files = await Promise.all(
      TINY.map(async ([name, url]) => inMemory(name, await asset(url(), options.signal))),
    );
    return { name: "tiny", files, close: () => undefined };
  }
  if (isNode() && typeof source === "string") {
    const found = openPath(source);
    if (found !== undefined) return found;
  }
  return openSource(source, options);
}
