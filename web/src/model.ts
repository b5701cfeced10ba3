// The model as a page sees it.

import { PATIENCE, type Connection } from "./client.js";
import { pause } from "./errors.js";
import type { Event } from "./events.js";
import { isNode } from "./node.js";
import { LessonsOf } from "./library-handle.js";
import type { CommandName, Commands, NamedBytes } from "./protocol.js";
import { Stream } from "./stream.js";
import { split, textOf } from "./text-stream.js";
import type * as types from "./types.js";

/** A module's address as text; addresses cannot cross as objects. */
function crossing(task: types.TaskChoice): types.TaskChoice {
  if (typeof task !== "object" || !("module" in task)) return task;
  return { module: new URL(task.module, globalThis.location?.href).href };
}

/** The bytes of an adapter's files. */
async function bytesOf(files: readonly (File | NamedBytes)[]): Promise<NamedBytes[]> {
  return Promise.all(
    files.map(async (file) => {
      if ("bytes" in file && file.bytes instanceof Uint8Array) return { name: file.name, bytes: file.bytes };
      return { name: file.name, bytes: new Uint8Array(await (file as File).arrayBuffer()) };
    }),
  );
}

export class WorkerModel implements types.Model {
  readonly #connection: Connection;
  #info: types.ModelInfo;
  #disposed: Promise<void> | undefined;
  readonly adapter: types.Adapter;

  constructor(connection: Connection, info: types.ModelInfo) {
    this.#connection = connection;
    this.#info = info;
    this.adapter = {
      save: () => this.#ask("saveAdapter", null),
      load: async (files) => {
        await this.#ask("loadAdapter", await bytesOf(files));
        await this.#refresh();
      },
      clear: async () => {
        await this.#ask("clearAdapter", null);
        await this.#refresh();
      },
    };
  }

  get info(): types.ModelInfo {
    return this.#info;
  }

  fit(workload: types.Workload = {}): Promise<types.Fit> {
    return this.#ask("fit", workload);
  }

  generate(prompt: string, options: types.SamplingOptions = {}): AsyncIterableIterator<types.Chunk> {
    const { signal, rest } = split(options);
    return this.#text("generate", { prompt, options: rest }, signal);
  }

  chat(messages: readonly types.Message[], options: types.SamplingOptions = {}): AsyncIterableIterator<types.Chunk> {
    const { signal, rest } = split(options);
    return this.#text("chat", { messages, options: rest }, signal);
  }

  score(text: string, options: { adapter?: boolean; signal?: AbortSignal } = {}): Promise<{ tokens: number[]; logprobs: number[] }> {
    return this.#ask("score", { text, adapter: options.adapter ?? true }, options.signal);
  }

  train(examples: readonly types.Example[], options: types.TrainOptions = {}): AsyncIterableIterator<types.TrainStep> {
    const { signal, rest } = split(options);
    const { stream, answer } = this.#stream("train", { examples, options: rest }, signal);
    answer.then(
      () => this.#refresh().then(() => stream.end(), (error: unknown) => stream.end({ error })),
      (error: unknown) => {
        // What was learnt until then is there; nobody waits to hear of it.
        void this.#refresh().catch(() => undefined);
        stream.end({ error });
      },
    );
    return stream;
  }

  ladder(options: types.LadderOptions): types.Run<types.LadderResult> {
    const { signal, rest } = split(options);
    return this.#run("ladder", { ...rest, task: crossing(rest.task) }, signal);
  }

  ttrl(options: types.TtrlOptions): types.Run<types.TtrlResult> {
    const { signal, rest } = split(options);
    return this.#run("ttrl", { ...rest, task: crossing(rest.task) }, signal);
  }

  evaluate(options: types.EvaluateOptions): Promise<types.Evaluation> {
    const { signal, rest } = split(options);
    return this.#ask("evaluate", { ...rest, task: crossing(rest.task) }, signal);
  }

  library(name: string): types.Library {
    return new LessonsOf(this.#connection, name);
  }

  report(run?: string): Promise<string> {
    return this.#ask("report", run === undefined ? {} : { run });
  }

  onRecovered(listener: (message: string) => void): () => void {
    return this.#connection.onRecovered(listener);
  }

  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    this.#connection.cancelAll();
    const done = this.#ask("dispose", null).catch(() => undefined);
    // A worker that is busy ends with all that it holds; in Node nobody else can.
    await (isNode() ? done : Promise.race([done, pause(PATIENCE, undefined)]));
    this.#connection.close();
  }

  /** Loses the device as a driver reset would; for tests of the recovery. */
  async loseDevice(): Promise<void> {
    await this.#ask("loseDevice", null);
  }

  #ask<Name extends CommandName>(name: Name, asks: Commands[Name]["asks"], signal?: AbortSignal): Promise<Commands[Name]["answers"]> {
    return this.#connection.call(name, asks, { signal }).answer;
  }

  async #refresh(): Promise<void> {
    this.#info = await this.#ask("info", null);
  }

  #stream<Name extends CommandName>(
    name: Name,
    asks: Commands[Name]["asks"],
    signal: AbortSignal | undefined,
    paused?: () => void,
  ): { id: number; stream: Stream<Commands[Name]["news"]>; answer: Promise<Commands[Name]["answers"]> } {
    let id = 0;
    const stream = new Stream<Commands[Name]["news"]>(() => this.#connection.control(id, "cancel"));
    const call = this.#connection.call(name, asks, { signal, paused, news: (news) => stream.give(news) });
    id = call.id;
    return { id, stream, answer: call.answer };
  }

  #text<Name extends "generate" | "chat">(name: Name, asks: Commands[Name]["asks"], signal: AbortSignal | undefined): Stream<types.Chunk> {
    return textOf(this.#connection, name, asks, signal);
  }

  #run<Name extends "ladder" | "ttrl">(
    name: Name,
    asks: Commands[Name]["asks"],
    signal: AbortSignal | undefined,
  ): types.Run<Commands[Name]["answers"]> {
    let standing: (() => void)[] = [];
    const stands = (): void => {
      standing.forEach((resolve) => resolve());
      standing = [];
    };
    const { id, stream, answer } = this.#stream(name, asks, signal, stands);
    const result = answer.then(async (value) => {
      await this.#refresh();
      return value;
    });
    result.then(
      () => stream.end(),
      (error: unknown) => stream.end({ error }),
    );
    result.then(stands, stands);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    return {
      [Symbol.asyncIterator]: () => stream as AsyncIterator<Event>,
      result,
      pause: () => {
        const paused = new Promise<void>((resolve) => standing.push(resolve));
        this.#connection.control(id, "pause");
        return paused;
      },
      resume: async () => this.#connection.control(id, "resume"),
      stop: () => {
        this.#connection.control(id, "cancel");
        return settled;
      },
    };
  }
}
