/** Everything that can go wrong in a way that a user can do something about. */
export type ErrorCode =
  | "aborted"
  | "busy"
  | "checksum"
  | "device_lost"
  | "disposed"
  | "download"
  | "internal"
  | "model"
  | "no_length"
  | "no_webgpu"
  | "offline"
  | "out_of_memory"
  | "quota"
  | "storage"
  | "usage"
  | (string & {});

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
