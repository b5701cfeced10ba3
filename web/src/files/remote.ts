// Which files a source on a server consists of.

import { StepladderError } from "../errors.js";
import { INDEX, OPTIONAL, REQUIRED, SINGLE, shardNames } from "./names.js";
import { type Access, PAGE_BYTES, isPage, pieces, request } from "./request.js";
import type { FileEntry } from "./store.js";

const HUB = "https://huggingface.co";

/** A place that files come from. */
export interface Remote {
  /** What identifies the model in the store. */
  key: string;
  name: string;
  access: Access;
  /** Gives the model's files; `text` gets one of them whole. */
  list(text: (entry: FileEntry) => Promise<string>): Promise<FileEntry[]>;
}

/** Reads a source that is text. */
export function parseRemote(source: string, options: { endpoint?: string; token?: string; signal?: AbortSignal }): Remote {
  if (source.startsWith("hf:")) return hub(source, options);
  let url: URL;
  try {
    url = new URL(source, globalThis.location?.href);
  } catch {
    throw notASource(source);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw notASource(source);
  url.hash = "";
  const access: Access = { token: options.token, endpoint: url.origin, signal: options.signal };
  const path = url.pathname.replace(/\/+$/, "");
  const name = decodeURIComponent(path.split("/").at(-1) ?? "") || url.host;
  const file = /\.gguf$/i.test(path);
  const list: Remote["list"] = file ? async () => [{ name, url: url.href }] : (text) => folder(url, access, text);
  return { key: url.href, name, access, list };
}

/** The error of a source that can be none. */
export function notASource(source: string): StepladderError {
  const hint = 'give "tiny", hf:OWNER/NAME, the URL of a .gguf file or of a folder with config.json, or a file';
  return new StepladderError("usage", `\`${source}\` is no source of a model`, hint);
}

/** A folder on a plain server, which cannot be listed: names are tried. */
async function folder(url: URL, access: Access, text: (entry: FileEntry) => Promise<string>): Promise<FileEntry[]> {
  const base = new URL(url);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const entry = (name: string): FileEntry => {
    const address = new URL(name, base);
    address.search = url.search;
    return { name, url: address.href };
  };
  const files = REQUIRED.map(entry);
  for (const name of OPTIONAL) {
    if (await exists(entry(name).url, access)) files.push(entry(name));
  }
  if (await exists(entry(INDEX).url, access)) {
    const index = entry(INDEX);
    files.push(index, ...shards(index.url, await text(index)).map(entry));
  } else {
    files.push(entry(SINGLE));
  }
  return files;
}

/** Whether there is a file; some servers answer an unknown name with 403, or with a page. */
async function exists(url: string, access: Access): Promise<boolean> {
  const response = await request(url, access, [200, 403, 404, 410]);
  if (response.status !== 200) {
    await response.body?.cancel();
    return false;
  }
  let beginning = new Uint8Array();
  for await (const piece of pieces(response)) {
    beginning = new Uint8Array([...beginning, ...piece.subarray(0, PAGE_BYTES)]);
    if (beginning.length >= PAGE_BYTES) break;
  }
  return !isPage(beginning);
}

function shards(url: string, index: string): string[] {
  const names = shardNames(index);
  if (names) return names;
  throw new StepladderError("input", `${url} does not name the model's parts`, "the file is damaged; use another copy of the model");
}

/** What is read of the hub's answer about a revision. */
interface Revision {
  sha: string;
  siblings?: { rfilename: string; size?: number; blobId?: string; lfs?: { sha256?: string; size?: number } }[];
}

function hub(source: string, options: { endpoint?: string; token?: string; signal?: AbortSignal }): Remote {
  const match = /^hf:([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?$/.exec(source);
  const id = match?.[1];
  const revision = match?.[2] ?? "main";
  const odd = (part: string) => part.startsWith(".") || part === "" || part.includes("..");
  if (id === undefined || [...id.split("/"), ...revision.split("/")].some(odd)) {
    const hint = "write hf:OWNER/NAME or hf:OWNER/NAME@REVISION";
    throw new StepladderError("usage", `\`${source}\` is not the name of a model on the hub`, hint);
  }
  const endpoint = (options.endpoint ?? HUB).replace(/\/+$/, "");
  const access: Access = { token: options.token, endpoint, signal: options.signal };
  const key = endpoint === HUB ? `hf:${id}@${revision}` : `hf:${id}@${revision} ${endpoint}`;
  return { key, name: id, access, list: (text) => revisionFiles(endpoint, id, revision, access, text) };
}

async function revisionFiles(
  endpoint: string,
  id: string,
  revision: string,
  access: Access,
  text: (entry: FileEntry) => Promise<string>,
): Promise<FileEntry[]> {
  // `blobs` adds sizes and digests: the answers that carry the files hide them from pages of other origins.
  const url = `${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const info = (await (await request(url, access, [200])).json().catch(() => ({}))) as Partial<Revision>;
  if (typeof info.sha !== "string" || !/^[0-9a-f]{40}$/.test(info.sha)) {
    throw new StepladderError("download", `${url}: the answer is not the hub's`, "check the endpoint");
  }
  const siblings = new Map((info.siblings ?? []).map((sibling) => [sibling.rfilename, sibling]));
  const entry = (name: string): FileEntry => {
    const sibling = siblings.get(name);
    const size = sibling?.lfs?.size ?? sibling?.size;
    const expected = sibling?.lfs?.sha256;
    // Of a file in LFS git has the pointer.
    const blob = sibling?.lfs === undefined && /^[0-9a-f]{40}$/.test(sibling?.blobId ?? "") ? sibling?.blobId : undefined;
    return { name, url: `${endpoint}/${id}/resolve/${info.sha}/${name}`, size, expected, blob };
  };
  const missing = (name: string, hint: string) =>
    new StepladderError("download", `${endpoint}/${id}: the repository has no ${name}`, hint);
  for (const name of REQUIRED) {
    if (!siblings.has(name)) throw missing(name, "use a model in Hugging Face's format, or the URL of a .gguf file");
  }
  const files = [...REQUIRED, ...OPTIONAL].filter((name) => siblings.has(name)).map(entry);
  if (siblings.has(INDEX)) {
    const index = entry(INDEX);
    return [...files, index, ...shards(index.url, await text(index)).map(entry)];
  }
  if (!siblings.has(SINGLE)) throw missing(SINGLE, "use a model with safetensors weights, or the URL of a .gguf file");
  return [...files, entry(SINGLE)];
}
