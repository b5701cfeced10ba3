// Lessons: pairs are learnt into a library, examined, accepted or not, asked, and taken back.

import { StepladderError, libraries, type Library, type Learned, type LessonNews, type LibraryInfo } from "stepladder";
import { Alert } from "./alert.js";
import { button, card, field, h, saveFile } from "./dom.js";
import { percent } from "./format.js";
import { LessonBoard } from "./lesson-board.js";
import { RecallView } from "./recall-view.js";
import type { Session } from "./session.js";
import { parsePairs } from "./teach-data.js";
import { zipped } from "./zip.js";

const SAMPLE = "Q: What is the tallest step of the ladder called?\nA: The top cap. Nobody should stand on it.\n\nQ: Who wrote this page?\nA: Somebody who likes short answers.";

const STATES: Record<Learned["state"], string> = {
  accepted: "Accepted: the head knows it.",
  waiting: "The gate lets it through. Accept it, or ask it first.",
  cannot_tell: "The gate cannot tell from so few questions. Ask it, and decide.",
  rejected: "Kept apart: the head stays what it was.",
};

export class LearnTab {
  readonly panel: HTMLElement;
  readonly #alert = new Alert();
  readonly #name = h("input", { id: "learn-library", value: "notes", spellcheck: "false", maxlength: 60, list: "learn-libraries" });
  readonly #names = h("datalist", { id: "learn-libraries" });
  readonly #text = h("textarea", { rows: 8, id: "learn-text", placeholder: SAMPLE, spellcheck: "false" });
  readonly #count = h("p", { class: "muted", role: "status" }, "Nothing to learn yet.");
  readonly #supersede = h("input", { type: "checkbox", id: "learn-supersede" });
  readonly #start = button("Learn", () => void this.#learn(), { class: "primary", id: "learn-start" });
  readonly #stop = button("Stop", () => this.#abort?.abort(), { disabled: true, id: "learn-stop" });
  readonly #goOn = button("Go on with the lesson", () => void this.#learn(true), { id: "learn-go-on", hidden: true });
  readonly #line = h("p", { class: "progress-line", role: "status" });
  readonly #bar = h("progress", { max: 1, value: 0, "aria-label": "Parts done" });
  readonly #recall = new RecallView();
  readonly #gate = h("ul", { class: "list gate", id: "learn-gate" });
  readonly #accept = button("Accept", () => void this.#decide((library) => library.accept()), { class: "primary", id: "learn-accept" });
  readonly #reject = button("Reject", () => void this.#decide((library) => library.reject()), { id: "learn-reject" });
  readonly #decision = h("div", { class: "buttons", hidden: true }, this.#accept, this.#reject);
  readonly #question = h("input", { id: "learn-question", autocomplete: "off", placeholder: "A question" });
  readonly #ask = button("Ask", () => void this.#answer(), { id: "learn-ask" });
  readonly #said = h("p", { class: "reply", role: "status", id: "learn-answer" });
  readonly #board: LessonBoard;
  #abort: AbortController | undefined;
  #info: LibraryInfo | undefined;
  /** What the line told before something else was at work. */
  #before: string | undefined;
  /** The lesson whose facts are shown. */
  #shown: number | undefined;

  constructor(
    private readonly session: Session,
    more: HTMLElement,
  ) {
    this.#text.addEventListener("input", () => this.#preview());
    this.#name.addEventListener("change", () => void this.#alert.guard(() => this.#refresh()));
    this.#question.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !this.#ask.disabled) void this.#answer();
    });
    const file = h("input", { type: "file", accept: ".jsonl,.json,.txt,.tsv,.md", multiple: true });
    file.addEventListener("change", () => void this.#read([...(file.files ?? [])]));
    const taken = h("input", { type: "file", accept: ".zip", id: "learn-import" });
    taken.addEventListener("change", () => void this.#import(taken));
    this.#board = new LessonBoard((lesson) => void this.#decide((library) => library.rollback(lesson)));
    const lesson = card(
      "What to learn",
      { class: "drop-text" },
      field("Questions and answers", this.#text, "“Q:” and “A:”, or a question, a tab and its answer a line, or lines of JSON with question and answer."),
      field("Or files", file, "You can also drop them on this card."),
      this.#count,
      field("Library", this.#name, "Lessons add up in it. It stays in this browser."),
      this.#names,
      h("p", {}, h("label", {}, this.#supersede, " New answers take the place of earlier ones")),
      h("div", { class: "buttons" }, this.#start, this.#goOn, this.#stop),
    );
    lesson.addEventListener("dragover", (event) => event.preventDefault());
    lesson.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.#read([...(event.dataTransfer?.files ?? [])]);
    });
    const progress = card("How it goes", {}, h("div", { class: "progress" }, this.#line, this.#bar), this.#recall.element, this.#gate, this.#decision);
    const ask = card("Ask it", {}, field("Question", this.#question), h("div", { class: "buttons" }, this.#ask), this.#said);
    const save = (what: string, id: string, work: (library: Library) => Promise<void>): HTMLElement =>
      button(what, () => void this.#alert.guard(() => this.#with(work)), { id, class: "quiet" });
    const keep = h(
      "div",
      { class: "buttons" },
      save("Save the board", "learn-board", async (library) => saveFile(`${library.name}.html`, "text/html", [await library.boardPage()])),
      save("Save the adapter", "learn-adapter", async (library) => saveFile("adapter.zip", "application/zip", [await zipped(await library.adapter())])),
      save("Export the library", "learn-export", async (library) => saveFile(`${library.name}.zip`, "application/zip", [await library.export()])),
    );
    this.#board.element.append(keep, field("Take a library in", taken, "A ZIP file that was exported here, or of a library’s folder."));
    this.panel = h(
      "section",
      { class: "panel" },
      this.#alert.element,
      h("div", { class: "columns" }, h("div", { class: "stage" }, lesson, ask), h("div", { class: "stage" }, progress, this.#board.element)),
      h("details", { id: "learn-more" }, h("summary", {}, "Train an adapter on text of any kind instead"), more),
    );
    let loaded: string | undefined;
    session.watch(({ model, busy }) => {
      this.#enable();
      if (!model) this.#line.textContent = "Load a model first, in the tab Model.";
      else if (busy === undefined && model.info.name !== loaded) void this.#alert.guard(() => this.#choose((loaded = model.info.name)));
      else if (busy !== undefined && this.#abort === undefined) this.#waits(busy);
      else if (busy === undefined) this.#waits(undefined);
    });
  }

  /** Tells what else is at work, and after that what was told before. */
  #waits(busy: string | undefined): void {
    if (busy !== undefined) {
      this.#before ??= this.#line.textContent ?? "";
      this.#line.textContent = `Please wait: ${busy}.`;
    } else if (this.#before !== undefined) {
      this.#line.textContent = this.#before;
      this.#before = undefined;
    }
  }

  /** The library that the page shows for a model: one that was made with it, or a name that is free. */
  async #choose(model: string): Promise<void> {
    // A browser that keeps no files has no libraries; learning says so.
    const there = await libraries.list().catch((error: unknown) => {
      if (error instanceof StepladderError && error.code === "storage") return [];
      throw error;
    });
    const own = there.find((library) => library.model === model);
    const taken = new Set(there.map(({ name }) => name));
    let free = "notes";
    for (let at = 2; taken.has(free); at += 1) free = `notes-${at}`;
    this.#shown = undefined;
    this.#name.value = own?.name ?? free;
    this.#names.replaceChildren(...there.map(({ name }) => h("option", { value: name })));
    this.#line.textContent = `${model} is ready to learn.`;
    await this.#refresh();
  }

  async #refresh(): Promise<void> {
    await this.#with(async (library) => {
      this.#info = await library.info();
      this.#board.show(this.#info, this.#info === undefined ? undefined : await library.board());
      const lesson = this.#info?.lessons.find(({ number }) => number === this.#info?.pending);
      if (lesson !== undefined) {
        this.#tellGate(lesson.words ?? []);
        // What was just learnt keeps its marks.
        if (this.#shown !== lesson.number) this.#recall.begin(lesson.facts);
        this.#shown = lesson.number;
      }
    });
    this.#enable();
  }

  #enable(): void {
    const { model, busy } = this.session.state;
    const free = model !== undefined && busy === undefined;
    const lesson = this.#info?.lessons.find(({ number }) => number === this.#info?.pending);
    this.#start.disabled = !free || lesson !== undefined;
    this.#goOn.hidden = lesson?.status !== "proposed" || this.#abort !== undefined;
    this.#goOn.disabled = !free;
    this.#decision.hidden = lesson?.status !== "waiting" || this.#abort !== undefined;
    this.#ask.disabled = !free || this.#info === undefined;
    this.#board.enable(free && lesson === undefined);
  }

  async #with<Answer>(work: (library: Library) => Promise<Answer>): Promise<Answer | undefined> {
    const { model } = this.session.state;
    return model === undefined ? undefined : work(model.library(this.#name.value.trim()));
  }

  async #read(files: File[]): Promise<void> {
    await this.#alert.guard(async () => {
      const texts = await Promise.all(files.map((file) => file.text()));
      this.#text.value = [this.#text.value.trim(), ...texts.map((text) => text.trim())].filter(Boolean).join("\n");
      this.#preview();
    });
  }

  #preview(): void {
    try {
      const { count } = parsePairs(this.#text.value);
      this.#count.textContent = count === 0 ? "Nothing to learn yet." : count === 1 ? "1 question with its answer." : `${count} questions with answers.`;
    } catch (error) {
      this.#count.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  async #learn(goOn = false): Promise<void> {
    await this.#alert.guard(async () => {
      const { pairs, count } = parsePairs(this.#text.value);
      if (!goOn && count === 0) {
        this.#text.focus();
        throw new Error("there is nothing to learn: write questions and answers");
      }
      const abort = (this.#abort = new AbortController());
      this.#stop.disabled = false;
      this.#gate.replaceChildren();
      try {
        await this.session.occupy("learning a lesson", () =>
          this.#with(async (library) => {
            const learning = library.learn(goOn ? undefined : pairs, { signal: abort.signal, supersede: this.#supersede.checked && !goOn });
            for await (const news of learning) this.#take(news);
            const { state, words } = await learning.result;
            this.#line.textContent = STATES[state];
            this.#tellGate(words);
          }),
        );
      } finally {
        if (abort.signal.aborted) this.#line.textContent = "Stopped. What was learned so far is kept, and it can go on.";
        this.#stop.disabled = true;
        this.#abort = undefined;
        await this.#refresh();
      }
    });
  }

  #take(news: LessonNews): void {
    switch (news.event) {
      case "lesson":
        this.#recall.begin(news.facts);
        this.#shown = news.lesson;
        break;
      case "recall":
        this.#recall.show(news.right);
        break;
      case "exam":
        this.#line.textContent = `Exam ${news.what}: ${news.questions} questions`;
        break;
      case "epoch":
        this.#line.textContent = `Epoch ${news.epoch} of at most ${news.epochs} · loss ${news.loss.toFixed(3)} · ${percent(news.recall)} recalled`;
        break;
      case "next":
        this.#line.textContent = `Now ${news.what}`;
        break;
      case "progress":
        this.#bar.value = news.done / Math.max(news.all, 1);
        break;
      case "judged":
        break;
    }
  }

  #tellGate(words: readonly string[]): void {
    this.#gate.replaceChildren(...words.map((line) => h("li", {}, line)));
  }

  /** Does what changes which lessons count. */
  async #decide(work: (library: Library) => Promise<unknown>): Promise<void> {
    await this.#alert.guard(async () => {
      await this.session.occupy("deciding", () => this.#with(work));
      this.#line.textContent = "Done. Ask it.";
      this.#gate.replaceChildren();
      await this.#refresh();
    });
  }

  /** Asks what the lesson that waits made, or else the head. */
  async #answer(): Promise<void> {
    const question = this.#question.value.trim();
    if (question === "") return this.#question.focus();
    await this.#alert.guard(() =>
      this.session.occupy("answering", async () => {
        this.#said.textContent = "";
        await this.#with(async (library) => {
          const lesson = this.#decision.hidden ? undefined : (this.#info?.pending ?? undefined);
          for await (const { text } of library.ask(question, { temperature: 0, maxTokens: 64, ...(lesson !== undefined && { lesson }) })) this.#said.append(text);
        });
      }),
    );
  }

  async #import(input: HTMLInputElement): Promise<void> {
    const [file] = input.files ?? [];
    if (file === undefined) return;
    await this.#alert.guard(async () => {
      await libraries.import(file);
      input.value = "";
      await this.#choose(this.session.state.model?.info.name ?? "");
    });
  }
}
