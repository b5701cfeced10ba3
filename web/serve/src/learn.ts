// Lessons of the server's library: begun, watched, decided, taken back.

import { button, card, field, h } from "../../demo/src/dom.js";
import { percent } from "../../demo/src/format.js";
import { parsePairs } from "../../demo/src/teach-data.js";
import { Alert } from "./alert.js";
import type { Lesson, Server } from "./server.js";

const STATES: Record<string, string> = {
  learning: "learns",
  stopped: "was stopped, and can go on",
  failed: "failed",
  waiting: "waits for you",
  accepted: "known",
  kept_apart: "kept apart by the gate",
  rejected: "rejected",
  rolled_back: "taken back",
};

/** Milliseconds between two looks at a lesson that runs. */
const LOOK = 1000;

/** The part of the board that is shown here; `stepladder board --html` makes a page of all of it. */
interface Board {
  lessons: { number: number; line: string }[];
}

export class Learn {
  readonly panel: HTMLElement;
  readonly #alert = new Alert();
  readonly #name = h("input", { id: "lesson-name", maxlength: 100, placeholder: "What the lesson is about", spellcheck: "false" });
  readonly #kind = h("select", { id: "lesson-kind" }, h("option", { value: "pairs" }, "Questions and answers"), h("option", { value: "document" }, "A text, about which the model asks itself"), h("option", { value: "feedback" }, "What was said of answers in the chat"));
  readonly #text = h("textarea", { rows: 8, id: "lesson-text", spellcheck: "false", placeholder: "Q: Where does Mira live?\nA: In Varna." });
  readonly #written = field("Text", this.#text, "“Q:” and “A:”, or a question, a tab and its answer a line, or lines of JSON with question and answer; or any text.");
  readonly #accept = h("input", { type: "checkbox", id: "lesson-accept" });
  readonly #supersede = h("input", { type: "checkbox", id: "lesson-supersede" });
  readonly #start = button("Learn", () => void this.#begin(), { class: "primary", id: "lesson-start" });
  readonly #waiting = h("p", { class: "muted", role: "status", id: "feedback-waiting" });
  readonly #list = h("div", { id: "lessons" });
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `changed` is called when what the server serves may have changed. */
  constructor(
    private readonly server: Server,
    private readonly changed: () => Promise<void>,
  ) {
    const show = (): void => {
      this.#written.hidden = this.#kind.value === "feedback";
    };
    this.#kind.addEventListener("change", show);
    const lesson = card(
      "What to learn",
      {},
      field("What it is", this.#kind),
      this.#written,
      field("Name", this.#name),
      h("p", {}, h("label", {}, this.#accept, " Accept it by itself, if the gate lets it through")),
      h("p", {}, h("label", {}, this.#supersede, " New answers take the place of earlier ones")),
      h("div", { class: "buttons" }, this.#start),
      this.#waiting,
    );
    const known = card("What it knows", {}, this.#list);
    this.panel = h("section", { class: "panel" }, this.#alert.element, h("div", { class: "columns" }, lesson, known));
    show();
  }

  /** Tells how many rows of feedback wait for a lesson. */
  wait(rows: number): void {
    this.#waiting.textContent = rows === 1 ? "One answer was judged since the last lesson." : `${rows} answers were judged since the last lesson.`;
    this.#kind.value = "feedback";
    this.#written.hidden = true;
  }

  /** Looks at all lessons, and again while one runs. */
  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    const { data } = await this.server.get<{ data: Lesson[] }>("/v1/lessons");
    const board = data.some(({ number }) => number !== null) ? await this.server.get<Board>("/v1/board") : { lessons: [] };
    const lines = new Map(board.lessons.map(({ number, line }) => [number, line]));
    const entries = data.map((lesson) => this.#entry(lesson, lines.get(lesson.number ?? 0)));
    this.#list.replaceChildren(...(entries.length > 0 ? entries : [h("p", { class: "muted" }, "Nothing yet.")]));
    const runs = data.some(({ state }) => state === "learning");
    this.#start.disabled = runs;
    if (runs) this.#timer = setTimeout(() => void this.#alert.guard(() => this.refresh()), LOOK);
    else await this.changed();
  }

  #entry(lesson: Lesson, line: string | undefined): HTMLElement {
    const { number, name, state, progress, epoch, gate, error, notes } = lesson;
    const act = (label: string, path: string, body: object, kind = "quiet"): HTMLElement => button(label, () => void this.#act(path, body), { class: kind, "aria-label": `${label}: ${name}` });
    const at = epoch ? `, epoch ${epoch.epoch} of ${epoch.epochs}, loss ${epoch.loss.toFixed(3)}${epoch.recall === null ? "" : `, ${percent(epoch.recall)} recalled`}` : "";
    return h(
      "article",
      { class: "lesson" },
      h("p", {}, h("strong", {}, number === null ? name : `${number} ${name}`), " ", h("span", { class: "muted", role: "status" }, STATES[state] ?? state)),
      line !== undefined && h("p", { class: "muted" }, line),
      progress && h("p", { class: "progress-line" }, `${progress.what}${at}`),
      progress && h("progress", { max: 1, value: progress.share, "aria-label": "Parts done" }),
      gate !== null && gate !== undefined && h("ul", { class: "list gate" }, ...gate.words.map((words) => h("li", {}, words))),
      ...(notes ?? []).map((note) => h("p", { class: "muted" }, note)),
      error !== null && error !== undefined && h("p", { class: "bad" }, error),
      h(
        "div",
        { class: "buttons" },
        state === "waiting" && act("Accept", `/v1/lessons/${number}/accept`, {}, "primary"),
        state === "waiting" && act("Reject", `/v1/lessons/${number}/reject`, {}),
        state === "kept_apart" && act("Accept all the same", `/v1/lessons/${number}/accept`, {}),
        state === "accepted" && act("Take back, with all after it", "/v1/rollback", { lesson: number }),
        (state === "stopped" || state === "failed") && act("Go on", "/v1/lessons", {}),
      ),
    );
  }

  async #begin(): Promise<void> {
    await this.#alert.guard(async () => {
      const name = this.#name.value.trim();
      await this.server.post("/v1/lessons", {
        ...this.#source(),
        ...(name !== "" && { name }),
        ...(this.#accept.checked && { accept: true }),
        ...(this.#supersede.checked && { supersede: true }),
      });
      [this.#text.value, this.#name.value, this.#waiting.textContent] = ["", "", ""];
      await this.refresh();
    });
  }

  /** What is to be learned; an error in words if there is nothing. */
  #source(): object {
    if (this.#kind.value === "feedback") return { feedback: true };
    const text = this.#text.value.trim();
    if (text === "") {
      this.#text.focus();
      throw new Error("there is nothing to learn: write it into the text");
    }
    if (this.#kind.value === "document") return { document: text };
    return { pairs: parsePairs(text).pairs.split("\n").map((line) => JSON.parse(line) as object) };
  }

  async #act(path: string, body: object): Promise<void> {
    await this.#alert.guard(async () => {
      await this.server.post(path, body);
      await this.refresh();
    });
  }
}
