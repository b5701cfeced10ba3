// The worker's side: carries commands out one after the other on the one model that it holds.

import { Engine } from "./wasm/stepladder.js";
import type { Context } from "./context.js";
import { StepladderError, type ErrorCode } from "./errors.js";
import { start } from "./engine.js";
import { execute } from "./execute.js";
import type { PlainError, Reply, Request } from "./protocol.js";

const CANCELLED: PlainError = { code: "aborted", message: "the call was cancelled", hint: "call it again" };

/** Errors of the engine (`code`, `hint`) and of this package, and whatever else was thrown, as they cross. */
function plain(error: unknown): PlainError {
  const { code, message, hint } = error as { code?: ErrorCode | "cancelled"; message?: string; hint?: string };
  const text = message ?? String(error);
  if (code === "cancelled") return CANCELLED;
  // A DOMException's code is a number.
  if (typeof code === "string") return { code, message: text, hint: hint ?? "" };
  if (error instanceof DOMException && error.name === "AbortError") {
    return CANCELLED;
  }
  return { code: "internal", message: text, hint: "please report this" };
}

/** One model with its queue of commands. */
export class Host {
  readonly #post: (reply: Reply, transfer?: Transferable[]) => void;
  readonly #context: Context = {};
  /** Ends when the last command that was sent has ended. */
  #last: Promise<void> = Promise.resolve();
  #running: { id: number; abort: AbortController; paused: boolean; wake?: () => void } | undefined;
  /** Commands that were cancelled before they began. */
  readonly #cancelled = new Set<number>();

  constructor(post: (reply: Reply, transfer?: Transferable[]) => void) {
    this.#post = post;
    this.#context.recovered = (message) => post({ kind: "recovered", message });
  }

  /** Takes a message of the page. */
  handle(request: Request): void {
    if ("control" in request) {
      this.#control(request.id, request.control);
      return;
    }
    this.#last = this.#last.then(() => this.#run(request));
  }

  #control(id: number, control: "cancel" | "pause" | "resume"): void {
    const running = this.#running;
    if (running?.id !== id) {
      if (control === "cancel") this.#cancelled.add(id);
      return;
    }
    if (control === "cancel") running.abort.abort();
    running.paused = control === "pause";
    if (control !== "resume") this.#engine()?.cancel();
    if (control !== "pause") running.wake?.();
  }

  #engine(): Engine | undefined {
    return this.#context.engine;
  }

  async #run(request: Extract<Request, { name: string }>): Promise<void> {
    const { id } = request;
    if (this.#cancelled.delete(id)) {
      this.#post({ id, kind: "failed", error: CANCELLED });
      return;
    }
    const running = { id, abort: new AbortController(), paused: false, wake: undefined as (() => void) | undefined };
    this.#running = running;
    try {
      await start();
      const answer = await execute(this.#context, request, {
        signal: running.abort.signal,
        news: (news) => this.#post({ id, kind: "news", news }),
        paused: () => running.paused && !running.abort.signal.aborted,
        resumed: () => {
          this.#post({ id, kind: "paused" });
          return new Promise<void>((resolve) => (running.wake = resolve));
        },
      });
      this.#post({ id, kind: "done", answer });
    } catch (error) {
      this.#post({ id, kind: "failed", error: plain(error) });
    } finally {
      this.#running = undefined;
    }
  }
}

export { StepladderError };
