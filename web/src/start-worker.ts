// Starting the worker, wherever this package and the page come from, and what it means if that fails.

import { forbidden } from "./csp.js";
import { StepladderError } from "./errors.js";

/** The worker's module beside this one; bundlers look for the whole expression of `startWorker` and leave this alone. */
function address(): URL {
  const name = "worker.js";
  return new URL(name, import.meta.url);
}

/** A worker that may not have begun yet; `onerror` hears if it cannot. */
export function startWorker(): Worker {
  if (typeof Worker === "undefined") {
    const hint = "call this package from a page or from a dedicated worker; shared workers and service workers, such as an extension's background, can start none";
    throw new StepladderError("no_worker", "no worker can be started from here", hint);
  }
  try {
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "stepladder" });
  } catch (cause) {
    if (!(cause instanceof DOMException && cause.name === "SecurityError")) throw cause;
    // A worker must be of the page's own origin. One of a blob is, and may import modules of any that lets it.
    const script = new Blob([`import ${JSON.stringify(address().href)};`], { type: "text/javascript" });
    const url = URL.createObjectURL(script);
    const worker = new Worker(url, { type: "module", name: "stepladder" });
    worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
    return worker;
  }
}

/** The error of a worker that failed, or, without a message before it has `begun`, that cannot be loaded. */
export async function workerError(message: string | undefined, begun: boolean): Promise<StepladderError> {
  const again = "load the model again; if this repeats, please report it";
  if (begun || message) return new StepladderError("internal", `the worker failed: ${message || "without a word"}`, again);
  const policy = await forbidden("the worker of this package", undefined);
  if (policy !== undefined) return policy;
  const { href, origin } = address();
  let hint = "serve the package's files beside its modules";
  if (globalThis.origin === "null") hint = "this page is in a sandboxed frame: add allow-same-origin to the frame's sandbox attribute";
  else if (origin !== globalThis.location?.origin) hint = `let ${origin} allow other pages to read its modules (Access-Control-Allow-Origin), or serve the package from the page's own origin`;
  return new StepladderError("no_worker", `the worker ${href} cannot be loaded`, hint);
}
