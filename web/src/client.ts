// The page's side: sends commands to the worker and hears what comes back. In Node the engine runs in the same thread.

import { aborted, describe, StepladderError } from "./errors.js";
import { isNode } from "./node.js";
import { startWorker, workerError } from "./start-worker.js";
import type { CommandName, Commands, PlainError, Reply, Request } from "./protocol.js";

/** Who hears of one command. */
interface Waiting {
  news(news: unknown): void;
  paused(): void;
  done(answer: unknown): void;
  failed(error: Error): void;
}

export interface Call<Answer> {
  id: number;
  answer: Promise<Answer>;
}

export interface Listening<News> {
  signal?: AbortSignal | undefined;
  news?: (news: News) => void;
  paused?: () => void;
}

function revived({ code, message, hint }: PlainError): StepladderError {
  return new StepladderError(code, message, hint);
}

/** The error of options that messages cannot hold, such as functions. */
function notSent(name: string, asks: unknown, cause: unknown): StepladderError {
  const { task } = (asks ?? {}) as { task?: { name?: string; verify?: unknown; verifyBatch?: unknown } };
  if (typeof task?.verify === "function" || typeof task?.verifyBatch === "function") {
    const hint = "make it the default export of a module, and give { module: new URL(\"./task.js\", import.meta.url) }";
    const problem = `${name}: the task \`${task.name}\` is an object of this page, and its functions do not reach the worker`;
    return new StepladderError("usage", problem, hint, { cause });
  }
  return new StepladderError("usage", `${name}: an option cannot be sent to the worker (${describe(cause)})`, "give plain data", { cause });
}

/** Milliseconds in which a worker may answer an abort, or `dispose`; after that it is not waited for. */
export const PATIENCE = 700;

/** A worker, or in Node the engine itself, with the commands that are under way. */
export class Connection {
  readonly #waiting = new Map<number, Waiting>();
  readonly #recovered = new Set<(message: string) => void>();
  #next = 1;
  #send: (request: Request, transfer?: Transferable[]) => void;
  #close: () => void;
  #ended: StepladderError | undefined;

  private constructor() {
    this.#send = () => undefined;
    this.#close = () => undefined;
  }

  static async open(): Promise<Connection> {
    const connection = new Connection();
    if (isNode()) {
      const { Host } = await import("./host.js");
      const host = new Host((reply) => connection.#hear(reply));
      connection.#send = (request) => host.handle(request);
      return connection;
    }
    const worker = startWorker();
    let begun = false;
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      begun = true;
      connection.#hear(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      void workerError(event.message, begun).then((error) => connection.#end(error));
    };
    connection.#send = (request) => worker.postMessage(request);
    connection.#close = () => worker.terminate();
    return connection;
  }

  /** Sends a command; commands are carried out in the order in which they are sent. */
  call<Name extends CommandName>(
    name: Name,
    asks: Commands[Name]["asks"],
    listening: Listening<Commands[Name]["news"]> = {},
  ): Call<Commands[Name]["answers"]> {
    const id = this.#next++;
    const { signal, news, paused } = listening;
    const answer = new Promise<Commands[Name]["answers"]>((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      if (signal?.aborted === true) return reject(aborted(name));
      let late: ReturnType<typeof setTimeout> | undefined;
      const cancel = (): void => {
        this.control(id, "cancel");
        // What cannot be interrupted, such as a driver that compiles, ends by itself; nobody has to wait for that.
        late = setTimeout(() => {
          over();
          reject(aborted(name));
        }, PATIENCE);
      };
      signal?.addEventListener("abort", cancel, { once: true });
      const over = (): void => {
        clearTimeout(late);
        signal?.removeEventListener("abort", cancel);
        this.#waiting.delete(id);
      };
      this.#waiting.set(id, {
        news: (value) => news?.(value as Commands[Name]["news"]),
        paused: () => paused?.(),
        done: (value) => {
          over();
          // A run that a signal stopped has a result; its caller asked for an end and gets an abort.
          if (signal?.aborted === true) reject(aborted(name));
          else resolve(value as Commands[Name]["answers"]);
        },
        failed: (error) => {
          over();
          reject(error);
        },
      });
      try {
        this.#send({ id, name, asks } as Request);
      } catch (cause) {
        over();
        reject(notSent(name, asks, cause));
      }
    });
    return { id, answer };
  }

  control(id: number, control: "cancel" | "pause" | "resume"): void {
    this.#send({ id, control });
  }

  /** Asks everything under way to end. */
  cancelAll(): void {
    for (const id of this.#waiting.keys()) this.control(id, "cancel");
  }

  onRecovered(listener: (message: string) => void): () => void {
    this.#recovered.add(listener);
    return () => this.#recovered.delete(listener);
  }

  /** Ends the worker; what is under way fails. */
  close(): void {
    this.end(new StepladderError("disposed", "the model was disposed of", "load it again"));
  }

  /** Ends the worker; what is under way fails with `error`. */
  end(error: StepladderError): void {
    this.#end(error);
    this.#close();
  }

  #end(error: StepladderError): void {
    this.#ended = error;
    for (const waiting of [...this.#waiting.values()]) waiting.failed(error);
  }

  #hear(reply: Reply): void {
    if (!("id" in reply)) {
      for (const listener of this.#recovered) listener(reply.message);
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    switch (reply.kind) {
      case "news":
        return waiting?.news(reply.news);
      case "paused":
        return waiting?.paused();
      case "done":
        return waiting?.done(reply.answer);
      case "failed":
        return waiting?.failed(revived(reply.error));
    }
  }
}
