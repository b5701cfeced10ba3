// What the commands on libraries of lessons do, on the worker's side.

import { weights_hash as weightsHash } from "./wasm/stepladder.js";
import { checkCancelled, withDevice, type Context } from "./context.js";
import { openFiles } from "./engine.js";
import { StepladderError, codeOf } from "./errors.js";
import type { Hooks } from "./execute.js";
import { libraryNames, openLibrary, removeLibrary, type OpenLibrary } from "./library-file.js";
import type { Completion, Correction, LearnOptions, Learned, LibraryInfo, Message, Pair, SamplingOptions, StoredLibrary } from "./types.js";
import type { NamedBytes, Plain } from "./protocol.js";
import { unzip, zip } from "./zip.js";

/** What is learnt: pairs, a correction, or what was stopped. */
export type LessonSource = string | readonly Pair[] | Correction | undefined;

/** A question to a head. */
export type Asking = { prompt: string } | { messages: readonly Message[] } | { question: string };

/** Opens a library for `work`; what keeps its files from being written is told before what follows from it. */
async function withLibrary<Answer>(name: string, access: "read" | "write", work: (open: OpenLibrary) => Answer | Promise<Answer>): Promise<Answer> {
  const open = await openLibrary(name, access);
  if (open === undefined) {
    throw new StepladderError("usage", `there is no library \`${name}\``, "begin with a lesson of pairs");
  }
  try {
    return await work(open);
  } catch (error) {
    throw open.failed() ?? error;
  } finally {
    open.close();
  }
}

/** The hash of the weights of the model that is loaded, whose files are read once more for it. */
async function hashOf(context: Context, signal: AbortSignal): Promise<string> {
  const { loaded } = context;
  if (loaded === undefined) throw new StepladderError("disposed", "the model was disposed of", "load it again");
  if (context.weights === undefined) {
    const files = await openFiles({ ...loaded, options: { ...loaded.options, refresh: false, signal } }, () => undefined);
    try {
      context.weights = weightsHash(files.name, files.files);
    } finally {
      files.close();
    }
  }
  return context.weights;
}

function linesOf(pairs: string | readonly Pair[]): string {
  return typeof pairs === "string" ? pairs : pairs.map((pair) => `${JSON.stringify(pair)}\n`).join("");
}

export async function learn(context: Context, name: string, source: LessonSource, options: Plain<LearnOptions>, hooks: Hooks): Promise<Learned> {
  const weights = await hashOf(context, hooks.signal);
  checkCancelled(hooks.signal);
  const given = source === undefined ? {} : typeof source === "string" || Array.isArray(source) ? { pairs: linesOf(source) } : { correct: source as Correction };
  return withLibrary(name, "write", async ({ library }) => {
    let begun = false;
    const news = (text: string): void => {
      begun ||= (JSON.parse(text) as { event: string }).event === "lesson";
      hooks.news(JSON.parse(text));
    };
    const text = await withDevice(context, hooks.signal, (engine) => {
      // On another device it goes on with the lesson that is in the library by then.
      const asked = begun ? {} : given;
      const { accept, name: lesson, supersede } = options;
      return engine.learn(library, JSON.stringify({ ...(begun ? { accept, name: lesson, supersede } : options), ...asked, weights }), news);
    });
    return JSON.parse(text) as Learned;
  });
}

/** A text by a library's head, which is counted. */
export async function ask(
  context: Context,
  name: string,
  asking: Asking,
  { lesson, ...options }: Plain<SamplingOptions> & { lesson?: number },
  hooks: Hooks,
): Promise<Completion> {
  const weights = await hashOf(context, hooks.signal);
  return withLibrary(name, "read", async ({ library, writable }) => {
    const asks = JSON.stringify({ ...options, head: true });
    const text = await withDevice(context, hooks.signal, (engine) => {
      engine.serve(library, lesson, weights);
      if ("prompt" in asking) return engine.generate(asking.prompt, asks, hooks.news);
      if ("messages" in asking) return engine.chat(JSON.stringify(asking.messages), asks, hooks.news);
      const { hasChatTemplate } = JSON.parse(engine.info()) as { hasChatTemplate: boolean };
      const messages = JSON.stringify([{ role: "user", content: asking.question }]);
      return hasChatTemplate ? engine.chat(messages, asks, hooks.news) : engine.generate(asking.question, asks, hooks.news);
    });
    if (writable) library.count_asked(1);
    return JSON.parse(text) as Completion;
  });
}

export async function score(context: Context, name: string, text: string, lesson: number | undefined, hooks: Hooks): Promise<{ tokens: number[]; logprobs: number[] }> {
  const weights = await hashOf(context, hooks.signal);
  return withLibrary(name, "read", async ({ library }) => {
    const answer = await withDevice(context, hooks.signal, (engine) => {
      engine.serve(library, lesson, weights);
      return engine.score(text, false, true);
    });
    return JSON.parse(answer) as { tokens: number[]; logprobs: number[] };
  });
}

/** `undefined` for a library that has no lesson yet. */
export async function info(name: string): Promise<LibraryInfo | undefined> {
  const open = await openLibrary(name, "read");
  if (open === undefined) return undefined;
  try {
    return (JSON.parse(open.library.info()) as LibraryInfo | null) ?? undefined;
  } finally {
    open.close();
  }
}

export async function list(): Promise<StoredLibrary[]> {
  const libraries: StoredLibrary[] = [];
  for (const name of await libraryNames()) {
    const found = await info(name).catch((error: unknown) => {
      // One that is damaged is listed, so that it can be removed.
      if (codeOf(error) !== "input") throw error;
      return { model: "", lessons: [], active: [], head: null };
    });
    if (found !== undefined) libraries.push({ name, model: found.model, lessons: found.lessons.length, active: found.active.length });
  }
  return libraries;
}

export const board = (name: string): Promise<Record<string, unknown>> =>
  withLibrary(name, "read", ({ library }) => JSON.parse(library.board()) as Record<string, unknown>);

export const boardPage = (name: string): Promise<string> => withLibrary(name, "read", ({ library }) => library.board_page());

export const accept = (name: string): Promise<{ lesson: number; head: string; against: string | null }> =>
  existing(name, ({ library }) => JSON.parse(library.accept()));

export const reject = (name: string, reason: string): Promise<number> => existing(name, ({ library }) => library.reject(reason));

export const rollback = (name: string, lesson: number | undefined): Promise<{ lessons: number[]; head: string | null }> =>
  existing(name, ({ library }) => JSON.parse(library.rollback(lesson)));

export const head = (name: string, lesson: number | undefined): Promise<NamedBytes[]> =>
  withLibrary(name, "read", ({ library }) => library.head(lesson) as NamedBytes[]);

/** A change of a library that is there: none is made by asking for it. */
async function existing<Answer>(name: string, work: (open: OpenLibrary) => Answer): Promise<Answer> {
  if (!(await libraryNames()).includes(name)) {
    throw new StepladderError("usage", `there is no library \`${name}\``, "begin with a lesson of pairs");
  }
  return withLibrary(name, "write", work);
}

/** The folder of a library as an archive. */
export function exported(name: string): Promise<Blob> {
  return withLibrary(name, "read", ({ library }) => {
    const paths = JSON.parse(library.files()) as [string, number][];
    return zip(paths.map(([path]) => ({ name: path, content: () => (path.endsWith("/") ? new Uint8Array() : library.file(path)) })));
  });
}

/** What is read of an archive, in bytes. */
const MOST = 2 ** 32;

/** Puts an archive into an empty library of the name; all of it, or nothing. */
export async function imported(name: string, archiveName: string, archive: Blob, hooks: Hooks): Promise<LibraryInfo> {
  if ((await info(name)) !== undefined) {
    throw new StepladderError("exists", `there is a library \`${name}\``, "choose another name, or remove it first");
  }
  const entries = await unzip(archiveName, archive);
  if (entries.reduce((sum, { size }) => sum + size, 0) > MOST) {
    throw new StepladderError("input", `${archiveName} is larger than ${MOST} bytes unpacked`, "give the library alone");
  }
  const card = entries.filter(({ name }) => /^([^/]+\/)?library\.json$/.test(name));
  const [first] = card;
  if (first === undefined || card.length > 1) {
    const problem = first === undefined ? "holds no library: library.json is missing" : "holds more than one library";
    throw new StepladderError("input", `${archiveName} ${problem}`, "give a library as it was exported, or its folder as a ZIP file");
  }
  // What a tab left that was closed while it imported.
  await removeLibrary(name);
  const top = first.name.slice(0, -"library.json".length);
  try {
    return await withLibrary(name, "write", async ({ library }) => {
      for (const entry of [...entries.filter((entry) => entry !== first), first]) {
        checkCancelled(hooks.signal);
        library.take(archiveName, top, entry.name, await entry.content());
      }
      return JSON.parse(library.info()) as LibraryInfo;
    });
  } catch (error) {
    if (codeOf(error) !== "busy") await removeLibrary(name);
    throw error;
  }
}

export { removeLibrary as remove };

