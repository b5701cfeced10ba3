// One request, with errors that say what failed and what to do.

import { StepladderError, aborted, describe } from "../errors.js";
import { isWeights } from "./names.js";

export interface Access {
  token?: string | undefined;
  /** The token goes to this address and nowhere else. */
  endpoint?: string | undefined;
  signal?: AbortSignal | undefined;
}

const GOES_ON = "then load again; the download goes on where it stopped";

/** Fetches `url`; `from` asks for the bytes from there on, up to but without `end`. Only answers that were wished for come back. */
export async function request(url: string, access: Access, accepted: number[], from = 0, end?: number): Promise<Response> {
  const headers = new Headers();
  if (from > 0 || end !== undefined) headers.set("Range", `bytes=${from}-${end === undefined ? "" : end - 1}`);
  if (access.token && access.endpoint && url.startsWith(`${access.endpoint}/`)) {
    headers.set("Authorization", `Bearer ${access.token}`);
  }
  let response: Response;
  try {
    // The store is the cache: a second copy in the browser's own would only take space.
    response = await fetch(url, { headers, cache: "no-store", credentials: "omit", signal: access.signal ?? null });
  } catch (error) {
    throw unreachable(url, error, access.signal);
  }
  if (accepted.includes(response.status)) return response;
  await response.body?.cancel();
  throw refused(url, response.status);
}

/** The error of a connection that was not made, or that broke. */
export function unreachable(url: string, error: unknown, signal: AbortSignal | undefined): StepladderError {
  if (signal?.aborted) return aborted(`the download of ${url}`);
  if (globalThis.navigator?.onLine === false) {
    return new StepladderError("offline", `${url} cannot be reached: this device is offline`, `connect to a network, ${GOES_ON}`, {
      cause: error,
    });
  }
  const hint = `check the address and the network, and that the server allows other pages to read it (CORS), ${GOES_ON}`;
  return new StepladderError("download", `${url}: the connection failed (${describe(error)})`, hint, { cause: error });
}

function refused(url: string, status: number): StepladderError {
  const [problem, hint] =
    status === 401 || status === 403
      ? ["the model does not exist, or needs permission", "check the name; accept the model's licence on its page and give a token of your account"]
      : status === 404
        ? ["there is no such model, revision or file", "check the address: hf:OWNER/NAME[@REVISION], or the URL of a .gguf file or a folder"]
        : status === 429
          ? ["too many requests", "wait some minutes, or give a token"]
          : ["the server refused", "try again later"];
  return new StepladderError("download", `${url}: ${problem} (HTTP status ${status})`, hint);
}

/** What a response tells about the whole file. Servers of other origins may hide any of it. */
export function describeFile(
  response: Response,
  name: string,
): { version: string | undefined; total: number | undefined; start: number } {
  const header = (name: string) => response.headers.get(name) ?? undefined;
  const version = header("x-linked-etag") ?? header("etag") ?? header("last-modified");
  if (response.status !== 206) {
    // Texts may be compressed on the way, which servers of other origins hide; then this is not the file's length.
    const length = isWeights(name) ? header("content-length") : undefined;
    return { version, total: length === undefined ? undefined : Number(length), start: 0 };
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header("content-range") ?? "");
  const total = range?.[2] === undefined || range[2] === "*" ? undefined : Number(range[2]);
  return { version, total, start: range ? Number(range[1]) : Number.NaN };
}
