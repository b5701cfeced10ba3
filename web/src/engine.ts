// Starting the engine: its WASM once, and a model on the GPU.

import init, { Engine } from "./wasm/stepladder.js";
import { forbidden } from "./csp.js";
import { StepladderError, codeOf } from "./errors.js";
import type { OpenedFiles } from "./files/index.js";
import { unreachable } from "./files/request.js";
import { isNode, prepare } from "./node.js";
import { gpuFacts } from "./gpu.js";
import { asset, open } from "./sources.js";
import type { LoadOptions, LoadProgress, Source } from "./types.js";

let started: Promise<unknown> | undefined;

/** Makes the WASM ready; the second call answers what the first did. */
export function start(): Promise<unknown> {
  started ??= startOnce().catch((error: unknown) => {
    started = undefined;
    throw error;
  });
  return started;
}

async function startOnce(): Promise<void> {
  const url = new URL("./wasm/stepladder_bg.wasm", import.meta.url);
  // Node's fetch reads no files; browsers compile while the bytes arrive.
  try {
    await init({ module_or_path: isNode() ? await asset(url) : url });
  } catch (cause) {
    throw (await forbidden("this package's WebAssembly", cause)) ?? (cause instanceof TypeError ? await unreachable(url.href, cause) : cause);
  }
}

/** What was loaded, to load it again when the device is lost. */
export interface Loaded {
  source: Source;
  options: LoadOptions;
}

/** Opens a model's files and streams its weights to the GPU. No copy is kept of files that do not open. */
export async function load({ source, options }: Loaded, news: (progress: LoadProgress) => void): Promise<Engine> {
  for (;;) {
    const files = await openFiles({ source, options }, news);
    try {
      return await stream(files, options, news);
    } catch (error) {
      if (codeOf(error) !== "input" || files.discard === undefined) throw error;
      await files.discard();
      // The server may have another file by now than the one that was kept.
      if (files.stored !== true) throw error;
    } finally {
      files.close();
    }
  }
}

/** Opens the files of a model. */
export async function openFiles({ source, options }: Loaded, news: (progress: LoadProgress) => void): Promise<OpenedFiles> {
  if (isNode()) await prepare();
  if (!("gpu" in navigator) || navigator.gpu === undefined) {
    const hint = "use Chrome, Edge, Firefox or Safari of 2025 or later, with a GPU driver, on https or localhost";
    throw new StepladderError("no_webgpu", "this browser has no WebGPU", hint);
  }
  const gpu = await gpuFacts();
  if (gpu === undefined) {
    const hint = "enable hardware acceleration, or update browser and GPU driver; a GPU that was just lost may take a moment to come back";
    throw new StepladderError("no_adapter", "the browser's WebGPU gives no GPU", hint);
  }
  return open(source, { ...options, onProgress: news });
}

async function stream(files: OpenedFiles, options: LoadOptions, news: (progress: LoadProgress) => void): Promise<Engine> {
  const { signal } = options;
  signal?.throwIfAborted();
  const asked = {
    contextLength: options.contextLength,
    kvCache: options.kvCache,
    defaultLimits: options.defaultLimits,
    // The engine is told no name on the web.
    gpuName: (await gpuFacts())?.name,
    now: Math.floor(Date.now() / 1000),
  };
  let last = 0;
  const engine = await Engine.load(files.name, files.files, JSON.stringify(asked), (done: number, total: number) => {
    // A large model has hundreds of tensors; a page draws a few dozen times.
    if (done - last >= total / 100 || done === total) {
      last = done;
      news({ stage: "weights", file: files.name, done, total });
    }
    // In Node the listener may have aborted; a browser's worker hears of nothing here, and its page ends it.
    return signal?.aborted !== true;
  });
  news({ stage: "ready", file: files.name, done: 1, total: 1 });
  return engine;
}
