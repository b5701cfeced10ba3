// The one model that a worker holds, over lost devices.

import type { Engine } from "./wasm/stepladder.js";
import { load, type Loaded } from "./engine.js";
import { StepladderError, checkSignal, codeOf, describe, pause } from "./errors.js";
import type { GpuFacts } from "./gpu.js";
import type { NamedBytes } from "./protocol.js";

/** What the worker holds. */
export interface Context {
  engine?: Engine;
  loaded?: Loaded;
  /** The hash of the model's weights, once it was asked for. */
  weights?: string;
  /** The engine's device is gone, and there is no other yet. */
  lost?: boolean;
  gpu?: GpuFacts;
  /** The last LADDER run, for its report. */
  lastRun?: { card: string; log: string; state: Uint8Array | undefined };
  /** Tells the page that the device was lost and set up anew. */
  recovered?: (message: string) => void;
}

/** The engine, or an error if there is none. */
export function engineOf(context: Context): Engine {
  if (context.engine === undefined) {
    throw new StepladderError("disposed", "the model was disposed of", "load it again");
  }
  return context.engine;
}

/** Throws, as the engine does, if the call was cancelled: the engine itself hears of what came before it began no more. */
export function checkCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw Object.assign(new Error("cancelled"), { code: "cancelled" });
}

/** The engine on a device that works, as far as is known: one that was lost is replaced first. */
export async function ready(context: Context, signal: AbortSignal): Promise<Engine> {
  if (context.lost === true) await recover(context, signal);
  return engineOf(context);
}

/** Waits before another try to set a lost device up: a GPU process that crashed takes a moment to start again. */
const PATIENCE = [200, 800, 2000];

/**
 * Sets device and model up anew with the adapter from before the device was lost. Until the new engine stands the old one is kept
 * for what it holds; if it cannot be replaced now, the next call tries again.
 */
export async function recover(context: Context, signal: AbortSignal): Promise<void> {
  const { loaded } = context;
  const old = engineOf(context);
  context.lost = true;
  old.lose_device();
  if (loaded === undefined) return;
  for (let tries = 0; ; tries += 1) {
    try {
      const engine = await load({ ...loaded, options: { ...loaded.options, refresh: false, signal } }, () => undefined);
      if (old.has_adapter()) loadAdapter(engine, old.save_adapter() as NamedBytes[]);
      context.engine = engine;
      context.lost = false;
      break;
    } catch (cause) {
      checkSignal(signal, "setting the GPU up again");
      const wait = PATIENCE[tries];
      if (wait === undefined) throw notRecovered(cause);
      await pause(wait, signal);
    }
  }
  old.free();
  context.recovered?.("the GPU was lost; the model was set up anew");
}

function notRecovered(cause: unknown): StepladderError {
  const hint = "call again in a moment, or reload the page; adapter.save() gives what was learnt";
  return new StepladderError("device_lost", `the GPU was lost and cannot be set up again: ${describe(cause)}`, hint, { cause });
}

/** Gives the engine an adapter in PEFT's two files. */
export function loadAdapter(engine: Engine, files: readonly NamedBytes[]): void {
  const find = (end: string): Uint8Array => {
    const file = files.find(({ name }) => name.endsWith(end));
    if (file === undefined) {
      const hint = "give adapter_config.json and adapter_model.safetensors of a PEFT adapter";
      throw new StepladderError("usage", `no file ends with ${end}`, hint);
    }
    return file.bytes;
  };
  engine.load_adapter(find(".json"), find(".safetensors"));
}

/** Runs `work`, and once more on a device of its own if the first was lost under it. */
export async function withDevice<Answer>(
  context: Context,
  signal: AbortSignal,
  work: (engine: Engine) => Promise<Answer>,
): Promise<Answer> {
  const engine = await ready(context, signal);
  checkCancelled(signal);
  try {
    return await work(engine);
  } catch (error) {
    if (codeOf(error) !== "device_lost") throw error;
    await recover(context, signal);
    checkCancelled(signal);
    return await work(engineOf(context));
  }
}

