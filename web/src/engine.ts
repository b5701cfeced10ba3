// Starting the engine: its WASM once, and a model on the GPU.

import init, { Engine } from "./wasm/stepladder.js";
import { StepladderError } from "./errors.js";
import { isNode, prepare } from "./node.js";
import { gpuFacts } from "./gpu.js";
import { asset, open } from "./sources.js";
import type { LoadOptions, LoadProgress, Source } from "./types.js";

let started: Promise<unknown> | undefined;

/** Makes the WASM ready; the second call answers what the first did. */
export function start(): Promise<unknown> {
  started ??= startOnce();
  return started;
}

async function startOnce(): Promise<void> {
  const url = new URL("./wasm/stepladder_bg.wasm", import.meta.url);
  // Node's fetch reads no files; browsers compile while the bytes arrive.
  await init({ module_or_path: isNode() ? await asset(url) : url });
}

/** What was loaded, to load it again when the device is lost. */
export interface Loaded {
  source: Source;
  options: LoadOptions;
}

/** Opens a model's files and streams its weights to the GPU. */
export async function load({ source, options }: Loaded, news: (progress: LoadProgress) => void): Promise<Engine> {
  if (isNode()) await prepare();
  if (!("gpu" in navigator) || navigator.gpu === undefined) {
    const hint = "use Chrome, Edge, Firefox or Safari of 2025 or later, with a GPU driver, on https or localhost";
    throw new StepladderError("no_webgpu", "this browser has no WebGPU", hint);
  }
  const { signal } = options;
  const files = await open(source, { ...options, onProgress: news });
  try {
    signal?.throwIfAborted();
    const asked = {
      contextLength: options.contextLength,
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
  } finally {
    files.close();
  }
}
