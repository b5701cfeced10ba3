// What the commands on libraries of lessons do, on the worker's side.

import { checkCancelled, withDevice, type Context } from "./context.js";
import { StepladderError, codeOf } from "./errors.js";
import type { Hooks } from "./execute.js";
import { libraryNames, openLibrary, removeLibrary, type OpenLibrary } from "./library-file.js";
import { parseCard } from "./run-place.js";
import { readRun } from "./runs.js";
import type {
  Completion,
  Consolidated,
  ExamOptions,
  LearnOptions,
  Learned,
  LessonSource,
  LibraryInfo,
  Message,
  Pair,
  Paper,
  SamplingOptions,
  StoredLibrary,
} from "./types.js";
import type { NamedBytes, Plain } from "./protocol.js";
import { hashOf } from "./weights.js";
import { unzip, zip } from "./zip.js";

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

/** Rows as JSON lines. */
function linesOf(rows: string | readonly object[]): string {
  return typeof rows === "string" ? rows : rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

/** A source as the engine takes it. */
async function sourceOf(source: LessonSource | undefined): Promise<object> {
  if (source === undefined) return {};
  if (typeof source === "string" || Array.isArray(source)) return { pairs: linesOf(source) };
  const given = source as Exclude<LessonSource, string | readonly Pair[]>;
  if ("document" in given) return { document: given.document };
  if ("feedback" in given) return { feedback: linesOf(given.feedback) };
  if (!("run" in given)) return { correct: given };
  const { card, log } = await readRun(given.run);
  if (parseCard(card).kind !== "ladder") {
    throw new StepladderError("usage", `the run \`${given.run}\` is no LADDER run`, "learn from a run of ladder()");
  }
  return { run: { name: given.run, card: JSON.parse(card) as unknown, log } };
}

export async function learn(context: Context, name: string, source: LessonSource | undefined, options: Plain<LearnOptions>, hooks: Hooks): Promise<Learned> {
  const weights = await hashOf(context, hooks.signal);
  const given = await sourceOf(source);
  checkCancelled(hooks.signal);
  return withLibrary(name, "write", async ({ library }) => {
    let begun = false;
    const news = (text: string): void => {
      begun ||= (JSON.parse(text) as { event: string }).event === "lesson";
      hooks.news(JSON.parse(text));
    };
    const text = await withDevice(context, hooks.signal, (engine) => {
      // On another device it goes on with the lesson that is in the library by then.
      const asked = begun ? { accept: options.accept } : { ...options, ...given };
      return engine.learn(library, JSON.stringify({ ...asked, weights }), news);
    });
    return JSON.parse(text) as Learned;
  });
}

/** The exams of lessons, of which those are asked that were not yet. */
export async function exam(context: Context, name: string, options: Plain<ExamOptions>, hooks: Hooks): Promise<Paper[]> {
  const weights = await hashOf(context, hooks.signal);
  return existing(name, async ({ library }) => {
    const asked = JSON.stringify({ ...options, weights });
    const text = await withDevice(context, hooks.signal, (engine) => engine.exam(library, asked, (news: string) => hooks.news(JSON.parse(news))));
    return JSON.parse(text) as Paper[];
  });
}

/** All lessons that count, learnt anew in one head. */
export async function consolidate(context: Context, name: string, without: readonly number[], hooks: Hooks): Promise<Consolidated> {
  const weights = await hashOf(context, hooks.signal);
  return existing(name, async ({ library }) => {
    const left = Uint32Array.from(without);
    const text = await withDevice(context, hooks.signal, (engine) =>
      engine.consolidate(library, left, weights, (news: string) => hooks.news(JSON.parse(news))),
    );
    return JSON.parse(text) as Consolidated;
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
async function existing<Answer>(name: string, work: (open: OpenLibrary) => Answer | Promise<Answer>): Promise<Answer> {
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

