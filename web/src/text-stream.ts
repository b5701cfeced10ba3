// Text of a model as a stream of pieces.

import type { Connection } from "./client.js";
import type { Commands } from "./protocol.js";
import { Stream } from "./stream.js";
import type { Chunk, Completion } from "./types.js";

/** Options without what stays on this side. */
export function split<Options extends { signal?: AbortSignal }>(options: Options): { signal: AbortSignal | undefined; rest: Omit<Options, "signal"> } {
  const { signal, ...rest } = options;
  return { signal, rest };
}

/** The pieces of a command that tells text and answers with the whole. */
export function textOf<Name extends "generate" | "chat" | "askHead">(
  connection: Connection,
  name: Name,
  asks: Commands[Name]["asks"],
  signal: AbortSignal | undefined,
): Stream<Chunk> {
  let id = 0;
  const stream = new Stream<Chunk>(() => connection.control(id, "cancel"));
  const call = connection.call(name, asks, { signal, news: (text) => stream.give({ text: text as string }) });
  id = call.id;
  call.answer.then(
    (done) => {
      stream.give({ text: "", done: done as Completion });
      stream.end();
    },
    (error: unknown) => stream.end({ error }),
  );
  return stream;
}
