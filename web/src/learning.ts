// The commands that learn, and the evaluation: their options in the engine's form, and their results in the package's.

import { fromCheckpoints, openKept } from "./checkpoints.js";
import { engineOf, ready, withDevice, type Context } from "./context.js";
import { StepladderError, codeOf, describe } from "./errors.js";
import type { Event, Verdict } from "./events.js";
import type { Hooks } from "./execute.js";
import type { Plain } from "./protocol.js";
import type {
  CustomTask,
  EvaluateOptions,
  Evaluation,
  Example,
  LadderOptions,
  LadderResult,
  Problem,
  TaskChoice,
  TrainOptions,
  TrainStep,
  TtrlOptions,
  TtrlResult,
} from "./types.js";
import { hashOf } from "./weights.js";

/** A task as the engine takes it: a built-in one by name and options, or an object with the methods. */
async function resolve(choice: TaskChoice): Promise<{ task: string; taskOptions: Record<string, string>; object?: CustomTask }> {
  if (typeof choice === "string") return { task: choice, taskOptions: {} };
  if ("module" in choice) {
    const url = String(choice.module);
    const module = (await import(/* @vite-ignore */ url).catch((cause: unknown) => {
      const hint = "give the address of a JavaScript module that this page may load, such as new URL(\"./task.js\", import.meta.url)";
      throw new StepladderError("usage", `the task's module ${url} cannot be loaded: ${describe(cause)}`, hint, { cause });
    })) as { default?: CustomTask };
    if (!judges(module.default) || typeof module.default.prompt !== "function") {
      throw new StepladderError("usage", `${url} exports no task`, "export default an object with prompt, and verify or verifyBatch");
    }
    return { task: module.default.name, taskOptions: {}, object: module.default };
  }
  if (judges(choice)) return { task: choice.name, taskOptions: {}, object: choice };
  return { task: choice.name, taskOptions: choice.options ?? {} };
}

/** Whether something has a method that judges. */
function judges(task: object | undefined): task is CustomTask {
  const { verify, verifyBatch } = (task ?? {}) as Partial<CustomTask>;
  return typeof verify === "function" || typeof verifyBatch === "function";
}

function problemOf(problem: string | Problem): Problem {
  return typeof problem === "string" ? { problem } : problem;
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

/** A LADDER run. */
export async function ladder(context: Context, asks: Plain<LadderOptions>, hooks: Hooks): Promise<LadderResult> {
  const { task: choice, problems, heldOut = [], run, resume, overwrite, ...rest } = asks;
  const { object, ...task } = await resolve(choice);
  await ready(context, hooks.signal);
  // A run that is kept says on which weights it stands, so that a lesson can be made of it. A model that is not kept itself would
  // be downloaded once more for that.
  const says = run !== undefined && (context.weights !== undefined || context.loaded?.options.cache !== false);
  const weights = says ? await hashOf(context, hooks.signal) : undefined;
  const options = JSON.stringify({ ...rest, ...task, problems: problems.map(problemOf), heldOut: heldOut.map(problemOf), weights });
  const store = await openKept(context, "ladder", asks, {
    make: () => engineOf(context).ladder_card(options, object),
    goOn: (card, step) => engineOf(context).ladder_goes_on(card, options, step),
  });
  let last: Finished | undefined;
  const news = (text: string): void => {
    const event = JSON.parse(text) as Event;
    if (event.type === "finished") last = event as unknown as Finished;
    // A pause ends the engine's loop but not the run.
    if (event.type !== "finished" || !hooks.paused()) hooks.news(event);
  };
  store.warn = (message) => hooks.news(warning(message));
  try {
    const finished = await fromCheckpoints(context, store, hooks, (engine, saved) => engine.ladder(store.card ?? "", object, saved, store, news));
    return resultOf(JSON.parse(finished) as Finished);
  } catch (error) {
    // A run that is stopped has a result: it stands at its last checkpoint.
    if (codeOf(error) !== "cancelled") throw error;
    return last === undefined ? { reason: "cancelled", step: 0, before: undefined, after: undefined } : resultOf(last);
  } finally {
    // Its files are let go of, so that the run can be taken up, or deleted, from elsewhere.
    context.lastRun = { card: store.card ?? "", log: store.log(), state: store.saved() };
    await store.close();
  }
}

function warning(message: string): Event {
  return { type: "warning", step: 0, code: "other", message };
}

/** Test-time learning of one problem. */
export async function ttrl(context: Context, asks: Plain<TtrlOptions>, hooks: Hooks): Promise<TtrlResult> {
  const { task: choice, problem, run, resume, overwrite, ...rest } = asks;
  const { object, ...task } = await resolve(choice);
  await ready(context, hooks.signal);
  const options = JSON.stringify({ ...rest, ...task, problem: problemOf(problem) });
  const store = await openKept(context, "ttrl", asks, {
    make: () => engineOf(context).ttrl_card(options, object),
    goOn: (card, step) => engineOf(context).ttrl_goes_on(card, options, step),
  });
  store.warn = (message) => hooks.news(warning(message));
  const news = (text: string): void => hooks.news(JSON.parse(text));
  try {
    const text = await fromCheckpoints(context, store, hooks, (engine, saved) => engine.ttrl(store.card ?? "", object, saved, store, news));
    const outcome = JSON.parse(text) as TtrlResult & { answer: string | null; verdict: Verdict | null };
    return {
      answer: outcome.answer ?? undefined,
      verdict: outcome.verdict ?? undefined,
      votes: outcome.votes.map(({ answer, count }) => ({ answer, count })),
      steps: outcome.steps,
    };
  } finally {
    await store.close();
  }
}

/** Supervised steps. */
export async function train(context: Context, examples: readonly Example[], options: Plain<TrainOptions>, hooks: Hooks): Promise<null> {
  const { run, resume, overwrite, ...rest } = options;
  await ready(context, hooks.signal);
  const lines = examples.map((example) => JSON.stringify(example)).join("\n");
  const store = await openKept(context, "train", options, {
    make: () => {
      if (examples.length === 0) throw new StepladderError("usage", "there are no examples", "give at least one");
      return engineOf(context).train_card(lines, JSON.stringify(rest));
    },
    goOn: (card, step) => engineOf(context).train_goes_on(card, lines, JSON.stringify(rest), step),
  });
  let warning: string | undefined;
  store.warn = (message) => (warning = message);
  const news = (text: string): void => {
    hooks.news({ ...(JSON.parse(text) as TrainStep), ...(warning !== undefined && { warning }) });
    warning = undefined;
  };
  try {
    await fromCheckpoints(context, store, hooks, (engine, saved) => engine.train(store.card ?? "", saved, store, news));
    return null;
  } finally {
    await store.close();
  }
}

/** Answers problems and judges the answers. */
export async function evaluate(context: Context, asks: Plain<EvaluateOptions>, hooks: Hooks): Promise<Evaluation> {
  const { task: choice, problems: questions, ...rest } = asks;
  const { object, ...task } = await resolve(choice);
  const options = { ...rest, ...task, problems: questions.map(problemOf) };
  const news = (text: string): void => hooks.news(JSON.parse(text));
  const text = await withDevice(context, hooks.signal, (engine) => engine.evaluate(JSON.stringify(options), object, news));
  const { n, pass_at, ci95, rewards = {}, problems } = JSON.parse(text) as {
    n: number;
    pass_at: Record<string, number>;
    ci95: [number, number];
    rewards?: Evaluation["rewards"];
    problems: { problem: string; correct: number; samples: unknown[] }[];
  };
  const counted = problems.map(({ problem, correct, samples }) => ({ problem, correct, samples: samples.length }));
  return { n, passAt: pass_at, ci95, rewards, problems: counted };
}
