// What the tabs share: the loaded model, and that only one thing runs on it at a time.

import type { Model } from "stepladder";

export interface State {
  model: Model | undefined;
  /** What is running, in words. */
  busy: string | undefined;
  /** Whether the adapter has learned something since the model was loaded. */
  trained: boolean;
  /** One line for the header. */
  note: string;
}

type Listener = (state: State) => void;

export class Session {
  #state: State = { model: undefined, busy: undefined, trained: false, note: "" };
  readonly #listeners = new Set<Listener>();

  constructor(
    /** Shows a tab. */
    public show: (tab: string) => void = () => undefined,
  ) {}

  get state(): Readonly<State> {
    return this.#state;
  }

  update(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener(this.#state);
  }

  /** Calls `listener` now and after each change. */
  watch(listener: Listener): void {
    this.#listeners.add(listener);
    listener(this.#state);
  }

  /** Does `work` while everything else on the page that needs the model waits. */
  async occupy<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    this.update({ busy: what });
    try {
      return await work();
    } finally {
      this.update({ busy: undefined });
    }
  }
}
