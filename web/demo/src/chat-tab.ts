// The base model and what it has become, side by side on the same prompt and seed.

import type { Completion, Message, Model } from "stepladder";
import { Alert } from "./alert.js";
import { button, field, h, numberInput, numberOf } from "./dom.js";
import { rate } from "./format.js";
import type { Session } from "./session.js";

const SIDES = [
  { adapter: false, title: "Base model" },
  { adapter: true, title: "With what it has learned" },
] as const;

export class ChatTab {
  readonly panel: HTMLElement;
  readonly #alert = new Alert();
  readonly #turns = h("div", { class: "turns", role: "log", "aria-label": "Conversation" });
  readonly #prompt = h("textarea", { rows: 3, spellcheck: "false" });
  readonly #hint = h("p", { class: "muted" });
  readonly #both = h("input", { type: "checkbox", checked: true });
  readonly #temperature = numberInput(0.7, { min: 0, max: 2, step: 0.1 });
  readonly #seed = numberInput(1, { min: 0, step: 1 });
  readonly #tokens = numberInput(200, { min: 1, max: 4096 });
  readonly #send = h("button", { type: "submit", class: "primary" }, "Send");
  readonly #stop = button("Stop", () => this.#abort?.abort(), { disabled: true });
  #abort: AbortController | undefined;
  #said: Record<"base" | "adapted", Message[]> = { base: [], adapted: [] };
  #model: Model | undefined;

  constructor(private readonly session: Session) {
    this.#prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send.click();
    });
    const form = h(
      "form",
      { class: "ask", onsubmit: (event: Event) => (event.preventDefault(), void this.#answer()) },
      field("Your message", this.#prompt),
      this.#hint,
      h(
        "div",
        { class: "row" },
        field("Seed", this.#seed),
        field("Temperature", this.#temperature),
        field("Most tokens", this.#tokens),
        field("Side by side", this.#both),
        h("div", { class: "buttons" }, this.#send, this.#stop, button("New conversation", () => this.#clear(), { class: "quiet" })),
      ),
    );
    this.panel = h("section", { class: "panel chat" }, this.#turns, this.#alert.element, form);
    session.watch(({ model, busy }) => {
      if (model !== this.#model) this.#clear();
      this.#model = model;
      this.#send.disabled = model === undefined || busy !== undefined;
      this.#hint.textContent = hint(model, busy);
    });
  }

  #clear(): void {
    this.#said = { base: [], adapted: [] };
    this.#turns.replaceChildren(h("p", { class: "empty" }, "Ask the same thing of both: what the model was, and what it has become."));
  }

  async #answer(): Promise<void> {
    const text = this.#prompt.value.trim();
    const { model } = this.session.state;
    if (text === "" || !model) return this.#prompt.focus();
    if (this.#turns.querySelector(".empty")) this.#turns.replaceChildren();
    this.#abort = new AbortController();
    const sides = this.#both.checked ? SIDES : SIDES.slice(1);
    const outputs = sides.map((side) => ({ side, said: h("div", { class: "said" }), speed: h("span", { class: "muted" }) }));
    const answers = outputs.map(({ side, said, speed }) => h("article", { class: "answer" }, h("h4", {}, side.title, speed), said));
    this.#turns.append(h("div", { class: "turn" }, h("p", { class: "asked" }, text), h("div", { class: "sides" }, ...answers)));
    this.#prompt.value = "";
    this.#stop.disabled = false;
    await this.#alert.guard(() =>
      this.session.occupy("answering in the chat", async () => {
        await Promise.all(outputs.map(({ side, said, speed }) => this.#stream(model, text, side.adapter, said, speed)));
      }),
    );
    this.#stop.disabled = true;
    this.#prompt.focus();
  }

  async #stream(model: Model, text: string, adapter: boolean, said: HTMLElement, speed: HTMLElement): Promise<void> {
    const history = this.#said[adapter ? "adapted" : "base"];
    const [temperature, seed, maxTokens] = [this.#temperature, this.#seed, this.#tokens].map(numberOf);
    const options = {
      adapter,
      ...(temperature !== undefined && { temperature }),
      ...(seed !== undefined && { seed }),
      ...(maxTokens !== undefined && { maxTokens }),
      ...(this.#abort && { signal: this.#abort.signal }),
    };
    const asked: Message[] = [...history, { role: "user", content: text }];
    const stream = model.info.hasChatTemplate ? model.chat(asked, options) : model.generate(promptOf(model, text), options);
    for await (const chunk of stream) {
      // Text nodes only: a model may well write tags.
      said.append(chunk.text);
      if (!chunk.done) continue;
      speed.textContent = ` ${spoken(chunk.done)}`;
      history.splice(0, history.length, ...asked, { role: "assistant", content: chunk.done.text });
    }
    if (said.textContent === "") said.append(h("span", { class: "muted" }, "(nothing)"));
  }
}

/** How long an answer is and how fast it came; from the second turn on also what was not computed anew. */
function spoken({ tokens, tokensPerSecond, finishReason, promptTokens, cachedTokens }: Completion): string {
  const cut = finishReason === "length" ? ", cut off" : "";
  const known = cachedTokens > 0 ? `, ${cachedTokens} of ${promptTokens} prompt tokens known` : "";
  return `${tokens.length} tokens, ${rate(tokensPerSecond)}${cut}${known}`;
}

/** The embedded model knows no sentences: a problem is written between `?` and `=`. */
function promptOf(model: Model, text: string): string {
  return model.info.name === "tiny" && !/^[?<~>]/.test(text) ? `?${text.replace(/\s+/g, "")}=` : text;
}

function hint(model: Model | undefined, busy: string | undefined): string {
  if (!model) return "Load a model first, in the tab Model.";
  if (busy !== undefined && !busy.includes("chat")) return `Please wait: ${busy}.`;
  if (model.info.name === "tiny") return "The small model only integrates: write an expression in x, such as x*cos(2*x). The answer is the antiderivative.";
  return model.info.hasChatTemplate ? "Enter sends, Shift + Enter begins a line." : "This model has no chat template: it goes on with your text.";
}
