/** Everything that can go wrong in a way that a user can do something about. */
export type ErrorCode =
  /** The call's signal fired. */
  | "aborted"
  /** Another worker, here or in another tab, has what the call needs. */
  | "busy"
  | "checksum"
  /** More tokens than the model's context holds. */
  | "context"
  /** The page's content security policy forbids what the call needs. */
  | "csp"
  | "device_lost"
  | "disposed"
  /** Loss or gradient was not finite several steps in a row. */
  | "diverged"
  | "download"
  /** There is a finished run of that name. */
  | "exists"
  | "gpu"
  /** A file, or a line of data, is not what it should be. */
  | "input"
  | "internal"
  | "io"
  /** WebGPU gives no adapter. */
  | "no_adapter"
  | "no_length"
  | "no_webgpu"
  /** A place of the browser in which no worker can be started. */
  | "no_worker"
  /** Weights, or what a model computes with them, are no finite numbers. */
  | "not_finite"
  | "offline"
  | "out_of_memory"
  | "quota"
  | "shape"
  | "storage"
  | "usage";

/** An error with a stable `code`, one line that says what and where, and a `hint` that says what to do. */
export class StepladderError extends Error {
  override readonly name = "StepladderError";
  readonly code: ErrorCode;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}

/** The error of a call that its `AbortSignal` ended. */
export function aborted(what: string): StepladderError {
  return new StepladderError("aborted", `${what} was cancelled`, "call it again; a download goes on where it stopped");
}

/** Throws if the signal fired. */
export function checkSignal(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw aborted(what);
}

/** The line that people read, whatever was thrown. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code of whatever was thrown. */
export function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | undefined)?.code;
}

/** Waits, or until the signal fires. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done);
    if (signal?.aborted === true) done();
  });
}
