// One request, with errors that say what failed and what to do.

import { forbidden } from "../csp.js";
import { StepladderError, aborted, checkSignal, describe, pause } from "../errors.js";
import { isWeights } from "./names.js";

export interface Access {
  token?: string | undefined;
  /** The token goes to this address and nowhere else. */
  endpoint?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Whether what has arrived is kept for the next load (default true). */
  kept?: boolean;
}

export interface Ask {
  /** The bytes from there on, up to but without `end`. */
  from?: number;
  end?: number;
  /** What is known of the file already: the answer may be that it is still so (304). */
  known?: string | undefined;
}

/** Tries before a request, or a download without a single new byte, gives up. */
export const TRIES = 4;
/** Milliseconds without a byte after which a connection counts as broken. */
const SILENCE = 30_000;
/** The longest wait that a server can ask for before the next try, in seconds. */
const MOST_PATIENCE = 20;

function again({ kept }: Access): string {
  return kept === false ? "then load again" : "then load again; the download goes on where it stopped";
}

/** Fetches `url`, a few times if need be. Only answers that were wished for come back. */
export async function request(url: string, access: Access, accepted: readonly number[], ask: Ask = {}): Promise<Response> {
  for (let tries = 1; ; tries += 1) {
    let failed: StepladderError;
    let wait = 250 * 2 ** tries;
    try {
      const response = await once(url, access, ask);
      if (accepted.includes(response.status)) return response;
      await response.body?.cancel();
      failed = refused(url, response.status, access);
      const passes = response.status === 408 || response.status === 429 || response.status >= 500;
      if (!passes) throw failed;
      const asked = Number(response.headers.get("retry-after"));
      if (asked > 0) wait = 1000 * Math.min(asked, MOST_PATIENCE);
    } catch (error) {
      if (error instanceof StepladderError) throw error;
      failed = await unreachable(url, error, access);
      if (failed.code !== "download") throw failed;
    }
    if (tries === TRIES) throw failed;
    await pause(wait, access.signal);
    checkSignal(access.signal, `the download of ${url}`);
  }
}

async function once(url: string, access: Access, { from = 0, end, known }: Ask): Promise<Response> {
  const headers = new Headers();
  if (from > 0 || end !== undefined) headers.set("Range", `bytes=${from}-${end === undefined ? "" : end - 1}`);
  if (access.token && access.endpoint && url.startsWith(`${access.endpoint}/`)) {
    headers.set("Authorization", `Bearer ${access.token}`);
  }
  // Servers of other origins would have to allow the header.
  if (known !== undefined && new URL(url).origin === globalThis.location?.origin) {
    headers.set(known.startsWith('"') ? "If-None-Match" : "If-Modified-Since", known);
  }
  const { signal } = access;
  const ends = new AbortController();
  const abort = (): void => ends.abort();
  const timer = setTimeout(() => ends.abort(silent()), SILENCE);
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted === true) abort();
  try {
    // The store is the cache: a second copy in the browser's own would only take space.
    return await fetch(url, { headers, cache: "no-store", credentials: "omit", signal: ends.signal });
  } finally {
    // The body, too, ends with the caller's signal, whose listener stays.
    clearTimeout(timer);
  }
}

function silent(): Error {
  return new Error(`the server sent nothing for ${SILENCE / 1000} seconds`);
}

/** The pieces of an answer. It counts as broken off where none comes for long. */
export async function* pieces(response: Response): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader();
  try {
    for (;;) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silence = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(silent()), SILENCE)));
      const piece = await Promise.race([reader.read(), silence]).finally(() => clearTimeout(timer));
      if (piece.done) return;
      yield piece.value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The error of a connection that was not made, or that broke. */
export async function unreachable(url: string, error: unknown, access: Access = {}): Promise<StepladderError> {
  if (access.signal?.aborted) return aborted(`the download of ${url}`);
  if (globalThis.navigator?.onLine === false) {
    return new StepladderError("offline", `${url} cannot be reached: this device is offline`, `connect to a network, ${again(access)}`, {
      cause: error,
    });
  }
  const policy = await forbidden(`fetching ${url}`, error);
  if (policy !== undefined) return policy;
  const hint = `check the address and the network, and that the server allows other pages to read it (CORS), ${again(access)}`;
  return new StepladderError("download", `${url}: the connection failed (${describe(error)})`, hint, { cause: error });
}

function refused(url: string, status: number, access: Access): StepladderError {
  const [problem, hint] =
    status === 401 || status === 403
      ? ["the model does not exist, or needs permission", "check the name; accept the model's licence on its page and give a token of your account"]
      : status === 404
        ? ["there is no such model, revision or file", "check the address: hf:OWNER/NAME[@REVISION], or the URL of a .gguf file or a folder"]
        : status === 429
          ? ["too many requests", "wait some minutes, or give a token"]
          : ["the server refused", `wait a moment, ${again(access)}`];
  return new StepladderError("download", `${url}: ${problem} (HTTP status ${status})`, hint);
}

/** The error of a web page in place of a file: hosts of single-page applications answer so, with status 200, to any unknown name. */
export function pageInstead(url: string): StepladderError {
  const hint = "check the address; the server answers it, and perhaps every name that it does not know, with a page";
  return new StepladderError("download", `${url}: there is a web page (HTML) and no file of a model`, hint);
}

/** Bytes by which a web page is known. */
export const PAGE_BYTES = 64;

/** Whether a file that begins so is a web page. */
export function isPage(beginning: Uint8Array): boolean {
  const text = new TextDecoder("latin1").decode(beginning.subarray(0, PAGE_BYTES));
  return /^(\xef\xbb\xbf)?\s*<(!doctype\s+html|!--|\?xml|html|head|body|script|meta|title)/i.test(text);
}

export interface Told {
  /** The mark of this very version of the file, if the server shows one by which bytes of two answers can be put together. */
  version: string | undefined;
  /** Bytes of the whole file. */
  total: number | undefined;
  /** Whether `total` is certain: a length that may be that of a compressed body is not. */
  exact: boolean;
  start: number;
}

/** What a response tells about the whole file. Servers of other origins may hide any of it. */
export function describeFile(response: Response, name: string): Told {
  const header = (name: string) => response.headers.get(name) ?? undefined;
  const strong = /^"/.test(header("etag") ?? "") ? header("etag") : undefined;
  const version = strong ?? header("last-modified");
  if (response.status !== 206) {
    const encoding = header("content-encoding");
    const encoded = encoding !== undefined && encoding !== "identity";
    // A page sees all headers of its own origin, and Node all; of other origins' the length is shown and the encoding hidden.
    const sure = encoding !== undefined || response.type === "basic" || globalThis.location === undefined;
    // Texts are often compressed on the way.
    const length = isWeights(name) && !encoded ? header("content-length") : undefined;
    return { version, total: length === undefined ? undefined : Number(length), exact: sure, start: 0 };
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header("content-range") ?? "");
  const total = range?.[2] === undefined || range[2] === "*" ? undefined : Number(range[2]);
  return { version, total, exact: true, start: range ? Number(range[1]) : Number.NaN };
}
