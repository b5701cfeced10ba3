// The hash of the weights of the model that is loaded, by which libraries and runs know it.

import { weights_hash as weightsHash } from "./wasm/stepladder.js";
import type { Context } from "./context.js";
import { openFiles } from "./engine.js";
import { StepladderError } from "./errors.js";

/** The hash; the model's files are read once more for the first that asks. */
export async function hashOf(context: Context, signal: AbortSignal): Promise<string> {
  const { loaded } = context;
  if (loaded === undefined) throw new StepladderError("disposed", "the model was disposed of", "load it again");
  if (context.weights === undefined) {
    const files = await openFiles({ ...loaded, options: { ...loaded.options, refresh: false, signal } }, () => undefined);
    try {
      context.weights = weightsHash(files.name, files.files);
    } finally {
      files.close();
    }
  }
  return context.weights;
}
