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
import type { SettingRow, Verdict } from "./events.js";
import type { CommandName, Commands, NamedBytes, Request } from "./protocol.js";
import { parseCard } from "./run-place.js";
import { listRuns, readRun, removeRun, runLog } from "./runs.js";
import type { Fit, LoadProgress, ModelInfo, TaskInfo } from "./types.js";

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

const parsed = async <Answer>(text: Promise<string>): Promise<Answer> => JSON.parse(await text) as Answer;

type Work<Name extends CommandName> = (
  context: Context,
  asks: Commands[Name]["asks"],
  hooks: Hooks,
) => Commands[Name]["answers"] | Promise<Commands[Name]["answers"]>;

/** Every command, by name. */
const commands: { [Name in CommandName]: Work<Name> } = {
  async load(context, loaded, hooks) {
    const news = (progress: LoadProgress): void => hooks.news(progress);
    context.engine = await load({ ...loaded, options: { ...loaded.options, signal: hooks.signal } }, news);
    [context.loaded, context.lost, context.weights] = [loaded, false, undefined];
    context.gpu = await gpuFacts();
    return infoOf(context);
  },
  info: (context) => infoOf(context),
  fit: (context, asks) => JSON.parse(engineOf(context).fit(JSON.stringify(asks))) as Fit,
  generate: (context, { prompt, options }, hooks) =>
    withDevice(context, hooks.signal, (engine) => parsed(engine.generate(prompt, JSON.stringify(options), hooks.news))),
  chat: (context, { messages, options }, hooks) =>
    withDevice(context, hooks.signal, (engine) => parsed(engine.chat(JSON.stringify(messages), JSON.stringify(options), hooks.news))),
  score: (context, { text, adapter }, hooks) => withDevice(context, hooks.signal, (engine) => parsed(engine.score(text, adapter, false))),
  train: (context, { examples, options }, hooks) => train(context, examples, options, hooks),
  ladder,
  ttrl,
  evaluate,
  saveAdapter: (context) => engineOf(context).save_adapter() as NamedBytes[],
  loadAdapter(context, files) {
    loadAdapter(engineOf(context), files);
    return null;
  },
  clearAdapter(context) {
    engineOf(context).clear_adapter();
    return null;
  },
  report: (context, { run }) => report(context, run),
  learn: (context, { name, source, options }, hooks) => libraries.learn(context, name, source, options, hooks),
  exam: (context, { name, options }, hooks) => libraries.exam(context, name, options, hooks),
  consolidate: (context, { name, without }, hooks) => libraries.consolidate(context, name, without, hooks),
  askHead: (context, { name, asking, options }, hooks) => libraries.ask(context, name, asking, options, hooks),
  scoreHead: (context, { name, text, lesson }, hooks) => libraries.score(context, name, text, lesson, hooks),
  libraryInfo: (_, name) => libraries.info(name),
  libraries: () => libraries.list(),
  board: (_, name) => libraries.board(name),
  boardPage: (_, name) => libraries.boardPage(name),
  accept: (_, name) => libraries.accept(name),
  reject: (_, { name, reason }) => libraries.reject(name, reason),
  rollback: (_, { name, lesson }) => libraries.rollback(name, lesson),
  head: (_, { name, lesson }) => libraries.head(name, lesson),
  exportLibrary: (_, name) => libraries.exported(name),
  importLibrary: (_, { name, archiveName, archive }, hooks) => libraries.imported(name, archiveName, archive, hooks),
  async removeLibrary(_, name) {
    await libraries.remove(name);
    return null;
  },
  dispose(context) {
    context.engine?.dispose();
    context.engine = context.loaded = context.lastRun = undefined;
    return null;
  },
  loseDevice(context) {
    engineOf(context).lose_device();
    return null;
  },
  tasks: () => JSON.parse(tasks()) as TaskInfo[],
  settings: (_, { kind, preset }) => JSON.parse(settings(kind, preset)) as SettingRow[],
  verify: (_, { task, options, problem, answer }) => JSON.parse(verify(task, JSON.stringify(options), JSON.stringify(problem), answer)) as Verdict,
  preFlight: (_, { source, options }, hooks) => preFlight(source, options, hooks.signal),
  runs: () => listRuns(),
  runLog: (_, run) => runLog(run),
  async removeRun(_, run) {
    await removeRun(run);
    return null;
  },
  cached: () => listCached(),
  async removeCached(_, model) {
    await removeCached(model);
    return null;
  },
};

/** Carries a command out. */
export async function execute(context: Context, { name, asks }: Extract<Request, { name: string }>, hooks: Hooks): Promise<unknown> {
  return (commands[name] as Work<CommandName>)(context, asks as never, hooks);
}
