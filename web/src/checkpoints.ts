// Runs from checkpoint to checkpoint: over pauses, lost devices and closed tabs.

import type { Engine } from "./wasm/stepladder.js";
import { checkCancelled, engineOf, ready, recover, type Context } from "./context.js";
import { StepladderError, codeOf } from "./errors.js";
import type { Hooks } from "./execute.js";
import { RunPlace, checkpointOf, noSpace, parseCard, type Kept } from "./run-place.js";
import { MemoryRunStore, type RunStore } from "./run-store.js";
import type { RunKind } from "./types.js";

/** Devices that a run may lose before it gives up. */
const MOST_LOST = 3;

/** What a run's options say of its place in the store. */
interface Place {
  run?: string;
  resume?: boolean;
  overwrite?: boolean;
}

/** How the card of a run comes about: `make` makes a new one, `goOn` takes that of a kept run that stands at `step`. */
interface Cards {
  make(): string;
  goOn(card: string, step: number): string;
}

/**
 * The store of a run with its card. `cards` checks all that the run was given, and fails before anything that is kept is touched.
 */
export async function openKept(context: Context, kind: RunKind, place: Place, cards: Cards): Promise<RunStore> {
  try {
    return await opened(context, kind, place, cards);
  } catch (cause) {
    if (!isFull(cause) && !isFull((cause as Error | undefined)?.cause)) throw cause;
    throw noSpace(place.run ?? "", cause);
  }
}

function isFull(error: unknown): boolean {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}

async function opened(context: Context, kind: RunKind, place: Place, cards: Cards): Promise<RunStore> {
  const { run, resume = false, overwrite = false } = place;
  if (run === "") throw new StepladderError("usage", "run is an empty name", "give the run a name, or leave `run` out");
  if (resume && overwrite) {
    throw new StepladderError("usage", "resume and overwrite contradict each other", "give one of them");
  }
  const held = run === undefined ? undefined : await RunPlace.hold(run);
  if (run === undefined || held === undefined) {
    const store = new MemoryRunStore();
    store.card = cards.make();
    return store;
  }
  try {
    const { kept } = held;
    if (resume && kept !== undefined) {
      expectSame(context, kind, run, kept);
      return await held.goOn(cards.goOn(kept.card, kept.at.step));
    }
    const card = cards.make();
    if (kept?.finished === true && !overwrite) {
      const problem = `there is a run \`${run}\`, finished at step ${kept.at.step}`;
      throw new StepladderError("exists", problem, "choose another name, or give overwrite: true to replace it");
    }
    return await held.begin(card);
  } catch (error) {
    held.release();
    throw error;
  }
}

/** A run goes on by the call that began it, on its own model. */
function expectSame(context: Context, kind: RunKind, run: string, kept: Kept): void {
  const known = parseCard(kept.card);
  const { name } = JSON.parse(engineOf(context).info()) as { name: string };
  if (known.kind !== kind) {
    throw new StepladderError("usage", `the run \`${run}\` is one of ${known.kind}()`, `go on with model.${known.kind}(), or choose another name`);
  }
  if (known.model !== name) {
    throw new StepladderError("usage", `the run \`${run}\` is of the model ${known.model}, and ${name} is loaded`, `load ${known.model} to go on`);
  }
}

/** Does `work` until it ends: after a pause or on a new device it is done again from the last checkpoint. */
export async function fromCheckpoints(
  context: Context,
  store: RunStore,
  hooks: Hooks,
  work: (engine: Engine, saved: Uint8Array | undefined) => Promise<string | void>,
): Promise<string> {
  for (let lost = 0; ; ) {
    const engine = await ready(context, hooks.signal);
    if (hooks.paused()) await hooks.resumed();
    checkCancelled(hooks.signal);
    const saved = store.saved();
    store.rewind(checkpointOf(saved).position);
    try {
      return (await work(engine, saved)) ?? "";
    } catch (error) {
      if (codeOf(error) === "cancelled" && hooks.paused()) continue;
      if (codeOf(error) !== "device_lost") throw error;
      context.lost = true;
      keepLearnt(engine, store);
      lost += 1;
      if (lost > MOST_LOST) throw error;
      await recover(context, hooks.signal);
    }
  }
}

/** The adapter of the last checkpoint becomes the engine's own, which outlives its device: the device took the newer one with it. */
function keepLearnt(engine: Engine, store: RunStore): void {
  const [card, state] = [store.card ?? "", store.saved()];
  // What is learnt for one question is not kept.
  if (state !== undefined && parseCard(card).kind !== "ttrl") engine.adopt(card, state);
}
