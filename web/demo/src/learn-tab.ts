// Lessons: pairs are learnt into a library, examined, accepted or not, asked, and taken back.

import { StepladderError, libraries, type Library, type Learned, type LessonNews, type LessonSource, type LibraryInfo, type Paper } from "stepladder";
import { Alert } from "./alert.js";
import { button, card, field, h, saveFile } from "./dom.js";
import { percent } from "./format.js";
import { Judgements } from "./judgements.js";
import { LessonBoard } from "./lesson-board.js";
import { LessonSourceView } from "./lesson-source.js";
import { RecallView } from "./recall-view.js";
import type { Session } from "./session.js";
import { zipped } from "./zip.js";

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
  readonly #source = new LessonSourceView(() => this.session.state.model?.info.name);
  readonly #supersede = h("input", { type: "checkbox", id: "learn-supersede" });
  readonly #start = button("Learn", () => void this.#learn(() => this.#source.read()), { class: "primary", id: "learn-start" });
  readonly #stop = button("Stop", () => this.#abort?.abort(), { disabled: true, id: "learn-stop" });
  readonly #goOn = button("Go on with the lesson", () => void this.#learn(), { id: "learn-go-on", hidden: true });
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
  readonly #judgements = new Judgements((feedback) => void this.#learn(() => ({ feedback })));
  readonly #compare = button("Compare with notes in the context", () => void this.#examine(), { id: "learn-compare", class: "quiet" });
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
    this.#name.addEventListener("change", () => void this.#alert.guard(() => this.#refresh()));
    this.#question.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !this.#ask.disabled) void this.#answer();
    });
    const taken = h("input", { type: "file", accept: ".zip", id: "learn-import" });
    taken.addEventListener("change", () => void this.#import(taken));
    this.#board = new LessonBoard({
      takeBack: (lesson) => void this.#decide((library) => library.rollback(lesson)),
      unlearn: (lesson) => void this.#unlearn(lesson),
    });
    const lesson = card(
      "What to learn",
      { class: "drop-text" },
      this.#source.element,
      field("Library", this.#name, "Lessons add up in it. It stays in this browser."),
      this.#names,
      h("p", {}, h("label", {}, this.#supersede, " New answers take the place of earlier ones")),
      h("div", { class: "buttons" }, this.#start, this.#goOn, this.#stop),
    );
    lesson.addEventListener("dragover", (event) => event.preventDefault());
    lesson.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.#alert.guard(() => this.#source.take([...(event.dataTransfer?.files ?? [])]));
    });
    const progress = card("How it goes", {}, h("div", { class: "progress" }, this.#line, this.#bar), this.#recall.element, this.#gate, this.#decision);
    const ask = card("Ask it", {}, field("Question", this.#question), h("div", { class: "buttons" }, this.#ask), this.#said, this.#judgements.element);
    const save = (what: string, id: string, work: (library: Library) => Promise<void>): HTMLElement =>
      button(what, () => void this.#alert.guard(() => this.#with(work)), { id, class: "quiet" });
    const keep = h(
      "div",
      { class: "buttons" },
      this.#compare,
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
    const decided = free && lesson === undefined;
    this.#board.enable(decided);
    this.#judgements.enable(decided);
    this.#compare.disabled = !decided || (this.#info?.active.length ?? 0) === 0;
  }

  async #with<Answer>(work: (library: Library) => Promise<Answer>): Promise<Answer | undefined> {
    const { model } = this.session.state;
    return model === undefined ? undefined : work(model.library(this.#name.value.trim()));
  }

  /** Learns a source, or without one what was stopped. */
  async #learn(read?: () => LessonSource): Promise<void> {
    await this.#alert.guard(async () => {
      const source = read?.();
      const supersede = source !== undefined && (this.#supersede.checked || (typeof source === "object" && "feedback" in source));
      await this.#working("learning a lesson", async (library, signal) => {
        const learning = library.learn(source, { signal, supersede });
        for await (const news of learning) this.#take(news);
        const { state, words } = await learning.result;
        this.#line.textContent = STATES[state];
        this.#tellGate(words);
        this.#judgements.clear();
      });
    });
  }

  /** Asks the base with all notes in the context, for the board to compare. */
  async #examine(): Promise<void> {
    await this.#alert.guard(() =>
      this.#working("comparing", async (library, signal) => {
        const papers = await library.exam({ notes: true, signal, onProgress: (news) => this.#take(news) });
        const sum = (of: (paper: Paper) => number): number => papers.reduce((total, paper) => total + of(paper), 0);
        const [right, all, tokens] = [sum((paper) => paper.right), sum((paper) => paper.questions), sum((paper) => paper.tokens)];
        this.#line.textContent = `With all notes before each question the model without lessons has ${right} of ${all} right, for ${Math.round(tokens / Math.max(all, 1))} tokens a question.`;
      }),
    );
  }

  /** Learns all lessons but one anew. */
  async #unlearn(lesson: number): Promise<void> {
    await this.#alert.guard(() =>
      this.#working("learning anew", async (library, signal) => {
        const { lessons } = await library.consolidate({ without: [lesson], signal, onProgress: (news) => this.#take(news) });
        this.#line.textContent = lessons.length === 0 ? "No lesson counts any more." : `The new head knows lesson${lessons.length === 1 ? "" : "s"} ${lessons.join(", ")}.`;
      }),
    );
  }

  /** Works on the library until it is done or stopped. */
  async #working(what: string, work: (library: Library, signal: AbortSignal) => Promise<void>): Promise<void> {
    const abort = (this.#abort = new AbortController());
    this.#stop.disabled = false;
    this.#gate.replaceChildren();
    try {
      await this.session.occupy(what, () => this.#with((library) => work(library, abort.signal)));
    } finally {
      if (abort.signal.aborted) this.#line.textContent = "Stopped. What was learned so far is kept, and it can go on.";
      this.#stop.disabled = true;
      this.#abort = undefined;
      await this.#refresh();
    }
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
      case "note":
        this.#line.textContent = news.words;
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
        this.#judgements.show(undefined);
        await this.#with(async (library) => {
          const lesson = this.#decision.hidden ? undefined : (this.#info?.pending ?? undefined);
          for await (const { text } of library.ask(question, { temperature: 0, maxTokens: 64, ...(lesson !== undefined && { lesson }) })) this.#said.append(text);
          // What waits is judged by accepting it or not.
          if (lesson === undefined) this.#judgements.show({ prompt: question, answer: this.#said.textContent ?? "" });
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
