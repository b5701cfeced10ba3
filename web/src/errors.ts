/** Everything that can go wrong in a way that a user can do something about. */
export type ErrorCode =
  // Those of the library, as the command line has them.
  | "cancelled"
  | "context"
  | "device_lost"
  | "diverged"
  | "download"
  | "gpu"
  | "input"
  | "io"
  | "no_adapter"
  | "out_of_memory"
  | "shape"
  | "usage"
  // Those of the browser.
  | "busy"
  | "checksum"
  | "disposed"
  | "offline"
  | "quota"
  | "storage";

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
export function cancelled(what: string): StepladderError {
  return new StepladderError("cancelled", `${what} was cancelled`, "call it again; a download goes on where it stopped");
}

/** Throws if the signal fired. */
export function checkSignal(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw cancelled(what);
}

/** The line that people read, whatever was thrown. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
