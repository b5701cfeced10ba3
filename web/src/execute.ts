// What each command does, on the worker's side.

import { Engine, report as renderReport, tasks, verify } from "./wasm/stepladder.js";
import { StepladderError, checkSignal, codeOf, describe, pause } from "./errors.js";
import { load, type Loaded } from "./engine.js";
import { listCached, removeCached } from "./files/index.js";
import { gpuFacts, type GpuFacts } from "./gpu.js";
import { evaluate, ladder, train, ttrl } from "./learning.js";
import { preFlight } from "./pre-flight.js";
import type { NamedBytes, Request } from "./protocol.js";
import { parseCard } from "./run-place.js";
import { listRuns, readRun, removeRun, runLog } from "./runs.js";
import type { LoadProgress, ModelInfo } from "./types.js";

/** What the worker holds. */
export interface Context {
  engine?: Engine;
  loaded?: Loaded;
  /** The engine's device is gone, and there is no other yet. */
  lost?: boolean;
  gpu?: GpuFacts;
  /** The last LADDER run, for its report. */
  lastRun?: { card: string; log: string; state: Uint8Array | undefined };
  /** Tells the page that the device was lost and set up anew. */
  recovered?: (message: string) => void;
}

/** How a command talks while it runs. */
export interface Hooks {
  signal: AbortSignal;
  news: (news: unknown) => void;
  /** Whether the page asked to pause. */
  paused: () => boolean;
  /** Tells the page that the run stands, and waits until it is to go on or to end. */
  resumed: () => Promise<void>;
}

/** The engine, or an error if there is none. */
export function engineOf(context: Context): Engine {
  if (context.engine === undefined) {
    throw new StepladderError("disposed", "the model was disposed of", "load it again");
  }
  return context.engine;
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

function loadAdapter(engine: Engine, files: readonly NamedBytes[]): void {
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
  try {
    return await work(engine);
  } catch (error) {
    if (codeOf(error) !== "device_lost") throw error;
    await recover(context, signal);
    return await work(engineOf(context));
  }
}

async function report(context: Context, run: string | undefined): Promise<string> {
  if (run !== undefined) {
    const { card, log, state } = await readRun(run);
    if (card !== "" && parseCard(card).kind !== "ladder") {
      throw new StepladderError("usage", `the run \`${run}\` is no LADDER run`, "ask for the report of a run of ladder()");
    }
    if (state !== undefined) return renderReport(card, log, state);
  } else if (context.lastRun !== undefined) {
    const { card, log, state } = context.lastRun;
    if (state !== undefined) return renderReport(card, log, state);
  }
  throw new StepladderError("usage", "there is no run to report on", "run ladder() until its first checkpoint");
}

/** What the engine says of the model, and the browser of the GPU. */
function infoOf(context: Context): ModelInfo {
  const info = JSON.parse(engineOf(context).info()) as ModelInfo;
  info.gpu.vendor ||= context.gpu?.vendor ?? "";
  return info;
}

/** Carries a command out. */
export async function execute(context: Context, request: Extract<Request, { name: string }>, hooks: Hooks): Promise<unknown> {
  const parsed = async (text: Promise<string>): Promise<unknown> => JSON.parse(await text);
  switch (request.name) {
    case "load": {
      const loaded = { source: request.asks.source, options: request.asks.options };
      const news = (progress: LoadProgress): void => hooks.news(progress);
      context.engine = await load({ ...loaded, options: { ...loaded.options, signal: hooks.signal } }, news);
      [context.loaded, context.lost] = [loaded, false];
      context.gpu = await gpuFacts();
      return infoOf(context);
    }
    case "info":
      return infoOf(context);
    case "fit":
      return JSON.parse(engineOf(context).fit(JSON.stringify(request.asks)));
    case "generate": {
      const { prompt, options } = request.asks;
      return withDevice(context, hooks.signal, (engine) => parsed(engine.generate(prompt, JSON.stringify(options), hooks.news)));
    }
    case "chat": {
      const [messages, options] = [JSON.stringify(request.asks.messages), JSON.stringify(request.asks.options)];
      return withDevice(context, hooks.signal, (engine) => parsed(engine.chat(messages, options, hooks.news)));
    }
    case "score": {
      const { text, adapter } = request.asks;
      return withDevice(context, hooks.signal, (engine) => parsed(engine.score(text, adapter)));
    }
    case "train": {
      const { examples, options } = request.asks;
      return train(context, examples, options, hooks);
    }
    case "ladder":
      return ladder(context, request.asks, hooks);
    case "ttrl":
      return ttrl(context, request.asks, hooks);
    case "evaluate":
      return evaluate(context, request.asks, hooks);
    case "saveAdapter":
      return engineOf(context).save_adapter();
    case "loadAdapter":
      loadAdapter(engineOf(context), request.asks);
      return null;
    case "clearAdapter":
      engineOf(context).clear_adapter();
      return null;
    case "report":
      return report(context, request.asks.run);
    case "dispose":
      context.engine?.dispose();
      context.engine = context.loaded = context.lastRun = undefined;
      return null;
    case "loseDevice":
      engineOf(context).lose_device();
      return null;
    case "tasks":
      return JSON.parse(tasks());
    case "verify": {
      const { task, options, problem, answer } = request.asks;
      return JSON.parse(verify(task, JSON.stringify(options), JSON.stringify(problem), answer));
    }
    case "preFlight": {
      const { source, options } = request.asks;
      return preFlight(source, options, hooks.signal);
    }
    case "runs":
      return listRuns();
    case "runLog":
      return runLog(request.asks);
    case "removeRun":
      await removeRun(request.asks);
      return null;
    case "cached":
      return listCached();
    case "removeCached":
      await removeCached(request.asks);
      return null;
  }
}
