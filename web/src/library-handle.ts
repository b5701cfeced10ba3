// A library of lessons as a page sees it.

import type { Connection } from "./client.js";
import type { Asking } from "./library.js";
import type { CommandName, Commands, NamedBytes } from "./protocol.js";
import { Stream } from "./stream.js";
import { split, textOf } from "./text-stream.js";
import type * as types from "./types.js";

export class LessonsOf implements types.Library {
  readonly #connection: Connection;
  readonly name: string;

  constructor(connection: Connection, name: string) {
    this.#connection = connection;
    this.name = name;
  }

  info(): Promise<types.LibraryInfo | undefined> {
    return this.#tell("libraryInfo", this.name);
  }

  learn(source?: types.LessonSource, options: types.LearnOptions = {}): types.Learning {
    const { signal, rest } = split(options);
    let id = 0;
    const stream = new Stream<types.LessonNews>(() => this.#connection.control(id, "cancel"));
    const news = (news: types.LessonNews): void => stream.give(news);
    const call = this.#connection.call("learn", { name: this.name, source, options: rest }, { signal, news });
    id = call.id;
    const result = call.answer;
    const settled = result.then(
      () => stream.end(),
      (error: unknown) => stream.end({ error }),
    );
    return {
      [Symbol.asyncIterator]: () => stream as AsyncIterator<types.LessonNews>,
      result,
      stop: () => {
        this.#connection.control(id, "cancel");
        return settled;
      },
    };
  }

  exam(options: types.ExamOptions = {}): Promise<types.Paper[]> {
    const { signal, onProgress: news, ...rest } = options;
    return this.#connection.call("exam", { name: this.name, options: rest }, { signal, news }).answer;
  }

  consolidate({ without = [], onProgress: news, signal }: types.ConsolidateOptions = {}): Promise<types.Consolidated> {
    return this.#connection.call("consolidate", { name: this.name, without }, { signal, news }).answer;
  }

  accept(): Promise<{ lesson: number; head: string; against: string | null }> {
    return this.#tell("accept", this.name);
  }

  reject(reason = "by the user"): Promise<number> {
    return this.#tell("reject", { name: this.name, reason });
  }

  rollback(lesson?: number): Promise<{ lessons: number[]; head: string | null }> {
    return this.#tell("rollback", { name: this.name, lesson });
  }

  ask(question: string, options: types.AskOptions = {}): AsyncIterableIterator<types.Chunk> {
    return this.#ask({ question }, options);
  }

  generate(prompt: string, options: types.AskOptions = {}): AsyncIterableIterator<types.Chunk> {
    return this.#ask({ prompt }, options);
  }

  chat(messages: readonly types.Message[], options: types.AskOptions = {}): AsyncIterableIterator<types.Chunk> {
    return this.#ask({ messages }, options);
  }

  score(text: string, { lesson, signal }: { lesson?: number; signal?: AbortSignal } = {}): Promise<{ tokens: number[]; logprobs: number[] }> {
    return this.#tell("scoreHead", { name: this.name, text, lesson }, signal);
  }

  board(): Promise<Record<string, unknown>> {
    return this.#tell("board", this.name);
  }

  boardPage(): Promise<string> {
    return this.#tell("boardPage", this.name);
  }

  adapter(lesson?: number): Promise<NamedBytes[]> {
    return this.#tell("head", { name: this.name, lesson });
  }

  export(): Promise<Blob> {
    return this.#tell("exportLibrary", this.name);
  }

  #ask(asking: Asking, options: types.AskOptions): AsyncIterableIterator<types.Chunk> {
    const { signal, rest } = split(options);
    return textOf(this.#connection, "askHead", { name: this.name, asking, options: rest }, signal);
  }

  #tell<Name extends CommandName>(name: Name, asks: Commands[Name]["asks"], signal?: AbortSignal): Promise<Commands[Name]["answers"]> {
    return this.#connection.call(name, asks, { signal }).answer;
  }
}
