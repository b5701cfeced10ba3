// What a library knows: its lessons with what the board says of each, and the fate of every question.

import type { LibraryInfo } from "stepladder";
import { button, card, h } from "./dom.js";

/** The part of the board that is shown here; the page that it can be saved as has all of it. */
interface Board {
  lessons: { number: number; line: string; questions: { prompt: string; fate: string }[] }[];
}

const STATUS: Record<string, string> = {
  proposed: "not learnt yet",
  waiting: "waits for you",
  accepted: "known",
  rejected: "kept apart",
  rolled_back: "taken back",
};

/** A sign for each fate of a question. */
const SIGNS: Record<string, string> = { known: "○", learned: "●", kept: "●", recovered: "◐", forgotten: "✕" };

/** What a visitor can do with a lesson that counts. */
interface Actions {
  /** With all that came after it, at once. */
  takeBack(lesson: number): void;
  /** Exactly: the others are learned anew without it. */
  unlearn(lesson: number): void;
}

export class LessonBoard {
  readonly #list = h("ul", { class: "list lessons", id: "learn-lessons" });
  readonly element = card("What it knows", {}, this.#list);
  #free = false;

  constructor(private readonly actions: Actions) {
    this.show(undefined, undefined);
  }

  show(info: LibraryInfo | undefined, board: Record<string, unknown> | undefined): void {
    const told = new Map((board as unknown as Board | undefined)?.lessons.map((lesson) => [lesson.number, lesson]));
    const entries = (info?.lessons ?? []).map(({ number, name, status }) => {
      const lesson = told.get(number);
      const strip = lesson?.questions.map(({ prompt, fate }) => h("span", { class: `fate ${fate}`, title: `${prompt} ${fate.replaceAll("_", " ")}` }, SIGNS[fate] ?? "·"));
      const action = (label: string, kind: string, help: string, work: () => void): HTMLElement =>
        button(label, work, { class: `quiet ${kind}`, disabled: !this.#free, title: help, "aria-label": `${label} lesson ${number}` });
      return h(
        "li",
        {},
        h("span", { class: "name" }, `${number} ${name}`),
        h("span", { class: "muted" }, STATUS[status] ?? status),
        lesson !== undefined && h("span", { class: "muted" }, lesson.line),
        strip !== undefined && h("span", { class: "fates", role: "img", "aria-label": "The fate of each question" }, ...strip),
        status === "accepted" && action("Take back", "take-back", "With all lessons after it, at once", () => this.actions.takeBack(number)),
        status === "accepted" && action("Unlearn", "unlearn", "Learns the other lessons anew without it; takes a while", () => this.actions.unlearn(number)),
      );
    });
    this.#list.replaceChildren(...(entries.length > 0 ? entries : [h("li", { class: "muted" }, "Nothing yet.")]));
  }

  /** Whether lessons can be taken back now. */
  enable(free: boolean): void {
    this.#free = free;
    for (const action of this.#list.querySelectorAll("button")) action.disabled = !free;
  }
}
