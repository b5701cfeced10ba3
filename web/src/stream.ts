// A command's news as an async iterator.

/** Values that one side gives and the other takes, in order. Leaving the loop calls `left`. */
export class Stream<Value> implements AsyncIterableIterator<Value> {
  readonly #ready: Value[] = [];
  readonly #left: () => void;
  #takers: { resolve(result: IteratorResult<Value>): void; reject(error: unknown): void }[] = [];
  #end: { error?: unknown } | undefined;

  constructor(left: () => void) {
    this.#left = left;
  }

  give(value: Value): void {
    if (this.#end !== undefined) return;
    const taker = this.#takers.shift();
    if (taker === undefined) this.#ready.push(value);
    else taker.resolve({ value, done: false });
  }

  /** Nothing more comes; with `error` the loop throws it after what is ready. */
  end(end: { error?: unknown } = {}): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    for (const taker of this.#takers) {
      if ("error" in end) taker.reject(end.error);
      else taker.resolve({ value: undefined, done: true });
      // One taker hears of the error.
      this.#end = {};
      end = {};
    }
    this.#takers = [];
  }

  next(): Promise<IteratorResult<Value>> {
    const value = this.#ready.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    const end = this.#end;
    if (end === undefined) return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
    if ("error" in end) {
      this.#end = {};
      return Promise.reject(end.error);
    }
    return Promise.resolve({ value: undefined, done: true });
  }

  return(): Promise<IteratorResult<Value>> {
    if (this.#end === undefined) this.#left();
    this.#ready.length = 0;
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
