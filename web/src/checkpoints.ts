// Runs from checkpoint to checkpoint: over pauses, lost devices and closed tabs.

import type { Engine } from "./wasm/stepladder.js";
import { StepladderError } from "./errors.js";
import { engineOf, recover, type Context, type Hooks } from "./execute.js";
import { checkpointOf, noSpace, openRun, parseCard, saveCard } from "./runs.js";
import type { RunStore } from "./run-store.js";
import type { RunKind } from "./types.js";

/** Devices that a run may lose before it gives up. */
const MOST_LOST = 3;

/** What a run's options say of its place in the store. */
interface Place {
  run?: string;
  resume?: boolean;
  steps?: number;
}

/** The store of a run, with the card that `make` makes, or the one that is there if the run goes on. */
export async function openKept(context: Context, kind: RunKind, place: Place, make: () => string): Promise<RunStore> {
  try {
    return await opened(context, kind, place, make);
  } catch (cause) {
    if (!isFull(cause) && !isFull((cause as Error | undefined)?.cause)) throw cause;
    throw noSpace(place.run ?? "", cause);
  }
}

function isFull(error: unknown): boolean {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}

async function opened(context: Context, kind: RunKind, { run, resume, steps }: Place, make: () => string): Promise<RunStore> {
  const store = await openRun(run, resume === true);
  try {
    if (resume !== true || store.card === undefined) {
      await saveCard(run, store, make());
      return store;
    }
    const known = parseCard(store.card);
    const { name } = JSON.parse(engineOf(context).info()) as { name: string };
    if (known.kind !== kind) {
      throw new StepladderError("usage", `the run \`${run}\` is one of ${known.kind}()`, `go on with model.${known.kind}(), or choose another name`);
    }
    if (known.model !== name) {
      throw new StepladderError("usage", `the run \`${run}\` is of the model ${known.model}, and ${name} is loaded`, `load ${known.model} to go on`);
    }
    if (steps !== undefined) {
      const card = JSON.parse(store.card) as { settings: { steps?: number; settings?: { steps: number } } };
      (card.settings.settings ?? card.settings).steps = steps;
      await saveCard(run, store, JSON.stringify(card));
    }
    return store;
  } catch (error) {
    store.close();
    throw error;
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
    const saved = store.saved();
    store.rewind(checkpointOf(saved).position);
    try {
      return (await work(engineOf(context), saved)) ?? "";
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "cancelled" && hooks.paused()) {
        await hooks.resumed();
        if (!hooks.signal.aborted) continue;
      }
      if (code !== "device_lost") throw error;
      lost += 1;
      if (lost > MOST_LOST) throw error;
      await recover(context);
    }
  }
}
