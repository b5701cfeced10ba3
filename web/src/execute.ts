// What each command does, on the worker's side.

import { report as renderReport, settings, tasks, verify } from "./wasm/stepladder.js";
import { engineOf, loadAdapter, withDevice, type Context } from "./context.js";
import { StepladderError } from "./errors.js";
import { load } from "./engine.js";
import { listCached, removeCached } from "./files/index.js";
import { gpuFacts } from "./gpu.js";
import * as libraries from "./library.js";
import { evaluate, ladder, train, ttrl } from "./learning.js";
import { preFlight } from "./pre-flight.js";
import type { Request } from "./protocol.js";
import { parseCard } from "./run-place.js";
import { listRuns, readRun, removeRun, runLog } from "./runs.js";
import type { LoadProgress, ModelInfo } from "./types.js";

/** How a command talks while it runs. */
export interface Hooks {
  signal: AbortSignal;
  news: (news: unknown) => void;
  /** Whether the page asked to pause. */
  paused: () => boolean;
  /** Tells the page that the run stands, and waits until it is to go on or to end. */
  resumed: () => Promise<void>;
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
      [context.loaded, context.lost, context.weights] = [loaded, false, undefined];
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
      return withDevice(context, hooks.signal, (engine) => parsed(engine.score(text, adapter, false)));
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
    case "learn": {
      const { name, source, options } = request.asks;
      return libraries.learn(context, name, source, options, hooks);
    }
    case "askHead": {
      const { name, asking, options } = request.asks;
      return libraries.ask(context, name, asking, options, hooks);
    }
    case "scoreHead":
      return libraries.score(context, request.asks.name, request.asks.text, request.asks.lesson, hooks);
    case "libraryInfo":
      return libraries.info(request.asks);
    case "libraries":
      return libraries.list();
    case "board":
      return libraries.board(request.asks);
    case "boardPage":
      return libraries.boardPage(request.asks);
    case "accept":
      return libraries.accept(request.asks);
    case "reject":
      return libraries.reject(request.asks.name, request.asks.reason);
    case "rollback":
      return libraries.rollback(request.asks.name, request.asks.lesson);
    case "head":
      return libraries.head(request.asks.name, request.asks.lesson);
    case "exportLibrary":
      return libraries.exported(request.asks);
    case "importLibrary":
      return libraries.imported(request.asks.name, request.asks.archiveName, request.asks.archive, hooks);
    case "removeLibrary":
      await libraries.remove(request.asks);
      return null;
    case "dispose":
      context.engine?.dispose();
      context.engine = context.loaded = context.lastRun = undefined;
      return null;
    case "loseDevice":
      engineOf(context).lose_device();
      return null;
    case "tasks":
      return JSON.parse(tasks());
    case "settings":
      return JSON.parse(settings(request.asks.kind, request.asks.preset));
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
