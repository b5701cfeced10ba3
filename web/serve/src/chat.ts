// A conversation with the model, an adapter or a library's head; thumbs and corrections become feedback.

import { button, field, h, numberInput, numberOf } from "../../demo/src/dom.js";
import { Alert } from "./alert.js";
import { Refusal, type Chunk, type Server } from "./server.js";

interface Message {
  role: "user" | "assistant";
  content: string;
}

export class Chat {
  readonly panel: HTMLElement;
  readonly #alert = new Alert();
  readonly #turns = h("div", { class: "turns", role: "log", "aria-label": "Conversation" });
  readonly #model = h("select", { id: "model" });
  readonly #prompt = h("textarea", { rows: 3, spellcheck: "false", id: "prompt" });
  readonly #hint = h("p", { class: "muted" }, "Enter sends, Shift + Enter begins a line.");
  readonly #temperature = numberInput("", { min: 0, max: 2, step: 0.1, placeholder: "as advised" });
  readonly #tokens = numberInput("", { min: 1, placeholder: "what fits" });
  readonly #send = h("button", { type: "submit", class: "primary", id: "send" }, "Send");
  readonly #stop = button("Stop", () => this.#abort?.abort(), { disabled: true });
  #said: Message[] = [];
  #abort: AbortController | undefined;
  /** Models without a chat template go on with a text. */
  #chats = true;
  #learns = false;

  /** `waiting` hears how many rows of feedback wait for a lesson. */
  constructor(
    private readonly server: Server,
    private readonly waiting: (rows: number) => void,
  ) {
    this.#prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send.click();
    });
    this.#model.addEventListener("change", () => this.#clear());
    const form = h(
      "form",
      { class: "ask", onsubmit: (event: Event) => (event.preventDefault(), void this.#answer()) },
      field("Your message", this.#prompt),
      this.#hint,
      h(
        "div",
        { class: "row" },
        field("Model", this.#model),
        field("Temperature", this.#temperature),
        field("Most tokens", this.#tokens),
        h("div", { class: "buttons" }, this.#send, this.#stop, button("New conversation", () => this.#clear(), { class: "quiet" })),
      ),
    );
    this.panel = h("section", { class: "panel chat" }, this.#turns, this.#alert.element, form);
    this.#clear();
  }

  /** What can be chosen, and whether answers can be judged. */
  offer(models: readonly string[], learns: boolean): void {
    const chosen = this.#model.value;
    this.#model.replaceChildren(...models.map((name) => h("option", { value: name, selected: name === chosen }, name)));
    // What a library has learnt is what its owner wants to talk to.
    if (chosen === "" && learns) this.#model.value = models.find((name) => name.endsWith("@library")) ?? this.#model.value;
    this.#learns = learns;
  }

  #clear(): void {
    this.#abort?.abort();
    this.#said = [];
    this.#turns.replaceChildren(h("p", { class: "empty" }, "Ask something. Answers that are wrong can be corrected, and learned from."));
  }

  async #answer(): Promise<void> {
    const text = this.#prompt.value.trim();
    if (text === "" || this.#abort) return this.#prompt.focus();
    this.#turns.querySelector(".empty")?.remove();
    const said = h("div", { class: "said" });
    const verdict = h("div", { class: "verdict" });
    this.#turns.append(h("div", { class: "turn" }, h("p", { class: "asked" }, text), h("div", { class: "sides" }, h("article", { class: "answer" }, said, verdict))));
    this.#prompt.value = "";
    this.#busy(new AbortController());
    const asked: Message[] = [...this.#said, { role: "user", content: text }];
    await this.#alert.guard(async () => {
      const { answer, id } = await this.#stream(asked, said);
      this.#said = [...asked, { role: "assistant", content: answer }];
      if (this.#learns && id !== undefined) this.#judge(id, answer, verdict);
    });
    this.#busy(undefined);
    this.#prompt.focus();
  }

  #busy(abort: AbortController | undefined): void {
    this.#abort = abort;
    this.#stop.disabled = abort === undefined;
    this.#send.disabled = abort !== undefined;
  }

  async #stream(asked: Message[], said: HTMLElement): Promise<{ answer: string; id: string | undefined }> {
    const [temperature, tokens] = [this.#temperature, this.#tokens].map(numberOf);
    const options = { model: this.#model.value, ...(temperature !== undefined && { temperature }), ...(tokens !== undefined && { max_tokens: tokens }) };
    const last = asked.at(-1)?.content ?? "";
    let answer = "";
    let id: string | undefined;
    const read = async (path: string, body: object): Promise<void> => {
      for await (const chunk of this.server.stream(path, body, this.#abort?.signal ?? new AbortController().signal)) {
        id = chunk.id;
        const piece = textOf(chunk);
        answer += piece;
        // Text nodes only: a model may well write tags.
        said.append(piece);
      }
    };
    if (this.#chats) {
      try {
        await read("/v1/chat/completions", { ...options, messages: asked });
      } catch (error) {
        if (!(error instanceof Refusal && error.code === "no_chat_template")) throw error;
        this.#chats = false;
        this.#hint.textContent = "This model has no chat template: it goes on with your text.";
      }
    }
    if (!this.#chats) await read("/v1/completions", { ...options, prompt: last });
    if (said.textContent === "") said.append(h("span", { class: "muted" }, "(nothing)"));
    return { answer, id };
  }

  /** What one can say of an answer. */
  #judge(id: string, answer: string, place: HTMLElement): void {
    const give = (body: object): void =>
      void this.#alert.guard(async () => {
        const { hint, waiting } = await this.server.post<{ hint: string | null; waiting: number }>("/v1/feedback", { id, ...body });
        place.replaceChildren(h("p", { class: "muted", role: "status" }, hint ?? "Noted: it can be learned in the tab Learn."));
        this.waiting(waiting);
      });
    const correct = (): void => {
      const right = h("textarea", { rows: 3 });
      right.value = answer.trim();
      const save = (): void => (right.value.trim() === "" ? right.focus() : give({ correction: right.value.trim() }));
      place.replaceChildren(field("The right answer", right), h("div", { class: "buttons" }, button("Keep the correction", save, { class: "primary" }), button("Cancel", () => this.#judge(id, answer, place))));
      right.focus();
    };
    const mark = (sign: string, thumb: string, label: string): HTMLElement => button(sign, () => give({ thumb }), { class: "quiet", "aria-label": label, title: label });
    place.replaceChildren(h("div", { class: "buttons" }, mark("👍", "up", "A good answer"), mark("👎", "down", "A bad answer"), button("Correct it", correct, { class: "quiet" })));
  }
}

function textOf({ choices: [choice] }: Chunk): string {
  return choice?.delta?.content ?? choice?.text ?? "";
}
