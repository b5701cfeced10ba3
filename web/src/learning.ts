// The commands that learn from tasks, and the evaluation: their options in the engine's form, pause and resume, checkpoints.

import { checkpoint_info as checkpointInfo } from "./wasm/stepladder.js";
import { StepladderError } from "./errors.js";
import type { Event, Verdict } from "./events.js";
import { engineOf, recover, withDevice, type Context, type Hooks } from "./execute.js";
import type { Plain } from "./protocol.js";
import { openRun, saveCard } from "./runs.js";
import type { RunStore } from "./run-store.js";
import type {
  CustomTask,
  EvaluateOptions,
  Evaluation,
  LadderOptions,
  LadderResult,
  Problem,
  TaskChoice,
  TtrlOptions,
  TtrlResult,
} from "./types.js";

/** A task as the engine takes it: a built-in one by name and options, or an object with the methods. */
async function resolve(choice: TaskChoice): Promise<{ task: string; taskOptions: Record<string, string>; object?: CustomTask }> {
  if (typeof choice === "string") return { task: choice, taskOptions: {} };
  if ("module" in choice) {
    const url = String(choice.module);
    const module = (await import(/* @vite-ignore */ url)) as { default?: CustomTask };
    if (typeof module.default?.verify !== "function") {
      throw new StepladderError("usage", `${url} exports no task`, "export default an object with prompt and verify");
    }
    return { task: module.default.name, taskOptions: {}, object: module.default };
  }
  if ("verify" in choice) return { task: choice.name, taskOptions: {}, object: choice };
  return { task: choice.name, taskOptions: choice.options ?? {} };
}

function problemOf(problem: string | Problem): Problem {
  return typeof problem === "string" ? { problem } : problem;
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

interface Finished {
  reason: string;
  step: number;
  before: { pass_at_1: number } | null;
  after: { pass_at_1: number } | null;
}

function resultOf({ reason, step, before, after }: Finished): LadderResult {
  return { reason, step, before: before?.pass_at_1, after: after?.pass_at_1 };
}

/** The store of a run, its card made or read, and its log cut to the checkpoint that it goes on from. */
async function prepare(context: Context, asks: Plain<LadderOptions>, choice: Awaited<ReturnType<typeof resolve>>): Promise<RunStore> {
  const store = await openRun(asks.run, asks.resume === true);
  try {
    if (asks.resume === true && store.card !== undefined) {
      const card = JSON.parse(store.card) as { settings: { steps: number } };
      card.settings.steps = asks.steps ?? card.settings.steps;
      await saveCard(asks.run, store, JSON.stringify(card));
    } else {
      const { object: _, ...task } = choice;
      const [problems, heldOut] = [asks.problems.map(problemOf), (asks.heldOut ?? []).map(problemOf)];
      const { preset, settings, steps, seed } = asks;
      const options = { ...task, problems, heldOut, preset, settings, steps, seed };
      await saveCard(asks.run, store, engineOf(context).ladder_card(JSON.stringify(options)));
    }
    return store;
  } catch (error) {
    store.close();
    throw error;
  }
}

/** A LADDER run: the engine's loop, and around it pauses and lost devices, each of which goes on from the last checkpoint. */
export async function ladder(context: Context, asks: Plain<LadderOptions>, hooks: Hooks): Promise<LadderResult> {
  const choice = await resolve(asks.task);
  context.lastRun?.close();
  const store = await prepare(context, asks, choice);
  context.lastRun = store;
  let lost = 0;
  for (;;) {
    const saved = store.saved();
    store.rewind(saved === undefined ? 0 : (JSON.parse(checkpointInfo(saved)) as { position: number }).position);
    let last: Finished | undefined;
    const news = (text: string): void => {
      const event = JSON.parse(text) as Event;
      if (event.type === "finished") last = event as unknown as Finished;
      // A pause ends the engine's loop but not the run.
      if (event.type !== "finished" || !hooks.paused()) hooks.news(event);
    };
    try {
      const finished = await engineOf(context).ladder(store.card ?? "", choice.object, saved, store, news);
      return resultOf(JSON.parse(finished) as Finished);
    } catch (error) {
      if (codeOf(error) === "cancelled") {
        if (hooks.paused()) await hooks.resumed();
        if (!hooks.signal.aborted) continue;
        return last === undefined ? { reason: "cancelled", step: 0, before: undefined, after: undefined } : resultOf(last);
      }
      lost += 1;
      if (codeOf(error) !== "device_lost" || lost > 3) throw error;
      await recover(context);
    }
  }
}

/** Test-time learning of one problem. */
export async function ttrl(context: Context, asks: Plain<TtrlOptions>, hooks: Hooks): Promise<TtrlResult> {
  const { object, ...task } = await resolve(asks.task);
  const { preset, settings, steps, seed, votes, keep } = asks;
  const options = { ...task, problem: problemOf(asks.problem), preset, settings, steps, seed, votes, keep };
  const news = (text: string): void => hooks.news(JSON.parse(text));
  const text = await withDevice(context, (engine) => engine.ttrl(JSON.stringify(options), object, news));
  const outcome = JSON.parse(text) as TtrlResult & { answer: string | null; verdict: Verdict | null };
  return {
    answer: outcome.answer ?? undefined,
    verdict: outcome.verdict ?? undefined,
    votes: outcome.votes.map(({ answer, count }) => ({ answer, count })),
    steps: outcome.steps,
  };
}

/** Answers problems and judges the answers. */
export async function evaluate(context: Context, asks: Plain<EvaluateOptions>, hooks: Hooks): Promise<Evaluation> {
  const { object, ...task } = await resolve(asks.task);
  const { samples, seed, temperature, maxTokens, adapter } = asks;
  const options = { ...task, problems: asks.problems.map(problemOf), samples, seed, temperature, maxTokens, adapter };
  const news = (text: string): void => hooks.news(JSON.parse(text));
  const text = await withDevice(context, (engine) => engine.evaluate(JSON.stringify(options), object, news));
  const { n, pass_at, ci95, problems } = JSON.parse(text) as {
    n: number;
    pass_at: Record<string, number>;
    ci95: [number, number];
    problems: { problem: string; correct: number; samples: unknown[] }[];
  };
  const counted = problems.map(({ problem, correct, samples }) => ({ problem, correct, samples: samples.length }));
  return { n, passAt: pass_at, ci95, problems: counted };
}
