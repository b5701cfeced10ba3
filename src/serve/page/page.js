// demo/src/dom.ts
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== void 0) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== void 0 && child !== false));
  return element;
}
var next = 0;
function field(label, control, help) {
  control.id ||= `field-${next += 1}`;
  const note = help === void 0 ? void 0 : h("small", { id: `${control.id}-help` }, help);
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}
function numberInput(value, attributes = {}) {
  return h("input", { type: "number", inputmode: "decimal", value, ...attributes });
}
function numberOf(input) {
  return input.value.trim() === "" || Number.isNaN(input.valueAsNumber) ? void 0 : input.valueAsNumber;
}
function button(label, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, label);
}
function card(title, attributes, ...children) {
  const heading = h("h3", { id: `card-${next += 1}` }, title);
  return h("section", { ...attributes, class: `card ${attributes["class"] ?? ""}`.trim(), "aria-labelledby": heading.id }, heading, ...children);
}

// demo/src/tabs.ts
function setUpTabs(bar, main, tabs) {
  const list = h("div", { role: "tablist", "aria-label": "stepladder" });
  const buttons = tabs.map(
    (tab) => h("button", { type: "button", role: "tab", id: `tab-${tab.id}`, "aria-controls": `panel-${tab.id}`, onclick: () => show2(tab.id) }, tab.label)
  );
  tabs.forEach(({ id, label, panel }) => {
    panel.id = `panel-${id}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${id}`);
    panel.tabIndex = 0;
    panel.prepend(h("h2", { class: "for-readers" }, label));
  });
  const show2 = (id) => {
    tabs.forEach((tab, index) => {
      const selected = tab.id === id;
      tab.panel.hidden = !selected;
      buttons[index]?.setAttribute("aria-selected", String(selected));
      if (buttons[index]) buttons[index].tabIndex = selected ? 0 : -1;
    });
    history.replaceState(null, "", `#${id}`);
    dispatchEvent(new Event("resize"));
  };
  list.addEventListener("keydown", (event) => {
    const at2 = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: at2 + 1, ArrowLeft: at2 - 1, Home: 0, End: tabs.length - 1 }[event.key];
    const next2 = to === void 0 ? void 0 : buttons.at(to % tabs.length);
    if (at2 < 0 || !next2) return;
    event.preventDefault();
    next2.focus();
    next2.click();
  });
  list.append(...buttons);
  bar.append(list);
  main.append(...tabs.map((tab) => tab.panel));
  const wished = location.hash.slice(1);
  show2(tabs.some((tab) => tab.id === wished) ? wished : tabs[0]?.id ?? "");
  return show2;
}

// demo/src/theme.ts
var KEY = "theme";
var CHOICES = ["auto", "light", "dark"];
var listeners = /* @__PURE__ */ new Set();
function setUpTheme(toggle) {
  let choice = CHOICES.find((known) => known === localStorage.getItem(KEY)) ?? "auto";
  const apply = (next2) => {
    choice = next2;
    localStorage.setItem(KEY, choice);
    document.documentElement.dataset["theme"] = choice;
    toggle.textContent = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" }[choice];
    for (const listener of listeners) listener();
  };
  apply(choice);
  toggle.addEventListener("click", () => apply(CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length] ?? "auto"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(choice));
}

// serve/src/alert.ts
var Alert = class {
  element = h("div", { class: "alert", role: "alert", hidden: true });
  /** Does `work` and shows what goes wrong. */
  async guard(work) {
    this.element.hidden = true;
    try {
      await work();
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      this.element.replaceChildren(h("p", {}, h("strong", {}, error instanceof Error ? error.message : String(error))));
      this.element.hidden = false;
    }
  }
};

// serve/src/server.ts
var KEY2 = "key";
var Refusal = class extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
  status;
  code;
};
var Server = class {
  /** Called when the key is missing or wrong. */
  onKey = () => void 0;
  #key = sessionStorage.getItem(KEY2) ?? "";
  /** Keeps the key until the tab is closed. */
  use(key) {
    this.#key = key;
    sessionStorage.setItem(KEY2, key);
  }
  async get(path) {
    return (await this.#ask("GET", path)).json();
  }
  async post(path, body) {
    return (await this.#ask("POST", path, body)).json();
  }
  /** The events of a streamed answer. */
  async *stream(path, body, signal) {
    const response = await this.#ask("POST", path, { ...body, stream: true }, signal);
    if (!response.body) throw new Refusal(response.status, "empty", "the server gave no answer");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (; ; ) {
      const { done, value } = await reader.read();
      if (done) throw new Refusal(0, "cut", "the server ended in the middle of its answer");
      rest += value;
      const events = rest.split("\n\n");
      rest = events.pop() ?? "";
      for (const event of events) {
        const data = event.replace(/^data: ?/, "");
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Refusal(200, chunk.error.code, chunk.error.message);
        yield chunk;
      }
    }
  }
  async #ask(method, path, body, signal) {
    const headers = this.#key === "" ? {} : { Authorization: `Bearer ${this.#key}` };
    if (body) headers["Content-Type"] = "application/json";
    const init = { method, headers, cache: "no-store", ...body && { body: JSON.stringify(body) }, ...signal && { signal } };
    const response = await fetch(path, init).catch((error) => {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new Refusal(0, "unreachable", "the server does not answer; it may have been stopped: start it anew, and try again");
    });
    if (response.ok) return response;
    if (response.status === 401) this.onKey();
    const said = await response.json().catch(() => void 0);
    throw new Refusal(response.status, said?.error?.code ?? "unknown", said?.error?.message ?? `the server answered with status ${response.status}`);
  }
};

// serve/src/chat.ts
var Chat = class {
  /** `waiting` hears how many rows of feedback wait for a lesson. */
  constructor(server2, waiting) {
    this.server = server2;
    this.waiting = waiting;
    this.#prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send.click();
    });
    this.#model.addEventListener("change", () => this.#clear());
    const form = h(
      "form",
      { class: "ask", onsubmit: (event) => (event.preventDefault(), void this.#answer()) },
      field("Your message", this.#prompt),
      this.#hint,
      h(
        "div",
        { class: "row" },
        field("Model", this.#model),
        field("Temperature", this.#temperature),
        field("Most tokens", this.#tokens),
        h("div", { class: "buttons" }, this.#send, this.#stop, button("New conversation", () => this.#clear(), { class: "quiet" }))
      )
    );
    this.panel = h("section", { class: "panel chat" }, this.#turns, this.#alert.element, form);
    this.#clear();
  }
  server;
  waiting;
  panel;
  #alert = new Alert();
  #turns = h("div", { class: "turns", role: "log", "aria-label": "Conversation" });
  #model = h("select", { id: "model" });
  #prompt = h("textarea", { rows: 3, spellcheck: "false", id: "prompt" });
  #hint = h("p", { class: "muted" }, "Enter sends, Shift + Enter begins a line.");
  #temperature = numberInput("", { min: 0, max: 2, step: 0.1, placeholder: "as advised" });
  #tokens = numberInput("", { min: 1, placeholder: "what fits" });
  #send = h("button", { type: "submit", class: "primary", id: "send" }, "Send");
  #stop = button("Stop", () => this.#abort?.abort(), { disabled: true });
  #said = [];
  #abort;
  /** Models without a chat template go on with a text. */
  #chats = true;
  #learns = false;
  /** What can be chosen, and whether answers can be judged. */
  offer(models, learns2) {
    const chosen = this.#model.value;
    this.#model.replaceChildren(...models.map((name) => h("option", { value: name, selected: name === chosen }, name)));
    if (chosen === "" && learns2) this.#model.value = models.find((name) => name.endsWith("@library")) ?? this.#model.value;
    this.#learns = learns2;
  }
  #clear() {
    this.#abort?.abort();
    this.#said = [];
    this.#turns.replaceChildren(h("p", { class: "empty" }, "Ask something. Answers that are wrong can be corrected, and learned from."));
  }
  async #answer() {
    const text = this.#prompt.value.trim();
    if (text === "" || this.#abort) return this.#prompt.focus();
    this.#turns.querySelector(".empty")?.remove();
    const said = h("div", { class: "said" });
    const verdict = h("div", { class: "verdict" });
    this.#turns.append(h("div", { class: "turn" }, h("p", { class: "asked" }, text), h("div", { class: "sides" }, h("article", { class: "answer" }, said, verdict))));
    this.#prompt.value = "";
    this.#busy(new AbortController());
    const asked = [...this.#said, { role: "user", content: text }];
    await this.#alert.guard(async () => {
      const { answer, id } = await this.#stream(asked, said);
      this.#said = [...asked, { role: "assistant", content: answer }];
      if (this.#learns && id !== void 0) this.#judge(id, answer, verdict);
    });
    this.#busy(void 0);
    this.#prompt.focus();
  }
  #busy(abort) {
    this.#abort = abort;
    this.#stop.disabled = abort === void 0;
    this.#send.disabled = abort !== void 0;
  }
  async #stream(asked, said) {
    const [temperature, tokens] = [this.#temperature, this.#tokens].map(numberOf);
    const options = { model: this.#model.value, ...temperature !== void 0 && { temperature }, ...tokens !== void 0 && { max_tokens: tokens } };
    const last = asked.at(-1)?.content ?? "";
    let answer = "";
    let id;
    const read = async (path, body) => {
      for await (const chunk of this.server.stream(path, body, this.#abort?.signal ?? new AbortController().signal)) {
        id = chunk.id;
        const piece = textOf(chunk);
        answer += piece;
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
  #judge(id, answer, place) {
    const give = (body) => void this.#alert.guard(async () => {
      const { hint, waiting } = await this.server.post("/v1/feedback", { id, ...body });
      place.replaceChildren(h("p", { class: "muted", role: "status" }, hint ?? "Noted: it can be learned in the tab Learn."));
      this.waiting(waiting);
    });
    const correct = () => {
      const right = h("textarea", { rows: 3 });
      right.value = answer.trim();
      const save = () => right.value.trim() === "" ? right.focus() : give({ correction: right.value.trim() });
      place.replaceChildren(field("The right answer", right), h("div", { class: "buttons" }, button("Keep the correction", save, { class: "primary" }), button("Cancel", () => this.#judge(id, answer, place))));
      right.focus();
    };
    const mark = (sign, thumb, label) => button(sign, () => give({ thumb }), { class: "quiet", "aria-label": label, title: label });
    place.replaceChildren(h("div", { class: "buttons" }, mark("👍", "up", "A good answer"), mark("👎", "down", "A bad answer"), button("Correct it", correct, { class: "quiet" })));
  }
};
function textOf({ choices: [choice] }) {
  return choice?.delta?.content ?? choice?.text ?? "";
}

// demo/src/format.ts
function percent(share) {
  return share === void 0 || share === null ? "–" : `${Math.round(share * 100)} %`;
}

// demo/src/teach-data.ts
function parsePairs(text) {
  const trimmed = text.trim();
  if (trimmed === "") return { pairs: "", count: 0 };
  const lines = trimmed.split("\n").filter((line) => line.trim() !== "");
  if (trimmed.startsWith("{")) return { pairs: lines.join("\n"), count: lines.length };
  const rows = /^\s*(q|question|frage)\s*:/im.test(trimmed) ? pairs(trimmed).map((pair) => "prompt" in pair ? { question: pair.prompt, answer: pair.completion } : pair) : lines.map((line, index) => {
    const [question, ...answer] = line.split("	");
    if (!question?.trim() || answer.join("").trim() === "") throw new Error(`line ${index + 1} has no answer: write the question, a tab, and the answer`);
    return { question: question.trim(), answer: answer.join(" ").trim() };
  });
  return { pairs: rows.map((row) => JSON.stringify(row)).join("\n"), count: rows.length };
}
function pairs(text) {
  const blocks = text.split(/^\s*(?:q|question|frage)\s*:/im).slice(1);
  return blocks.map((block, index) => {
    const [question, ...answer] = block.split(/^\s*(?:a|answer|antwort)\s*:/im);
    if (answer.length === 0 || !question?.trim()) {
      throw new Error(`question ${index + 1} has no answer: write a line that begins with "A:" below it`);
    }
    return { prompt: question.trim(), completion: answer.join("A:").trim() };
  });
}

// serve/src/learn.ts
var STATES = {
  learning: "learns",
  stopped: "was stopped, and can go on",
  failed: "failed",
  waiting: "waits for you",
  accepted: "known",
  kept_apart: "kept apart by the gate",
  rejected: "rejected",
  rolled_back: "taken back"
};
var LOOK = 1e3;
var Learn = class {
  /** `changed` is called when what the server serves may have changed. */
  constructor(server2, changed) {
    this.server = server2;
    this.changed = changed;
    const show2 = () => {
      this.#written.hidden = this.#kind.value === "feedback";
    };
    this.#kind.addEventListener("change", show2);
    const lesson = card(
      "What to learn",
      {},
      field("What it is", this.#kind),
      this.#written,
      field("Name", this.#name),
      h("p", {}, h("label", {}, this.#accept, " Accept it by itself, if the gate lets it through")),
      h("p", {}, h("label", {}, this.#supersede, " New answers take the place of earlier ones")),
      h("div", { class: "buttons" }, this.#start),
      this.#waiting
    );
    const known = card("What it knows", {}, this.#list);
    this.panel = h("section", { class: "panel" }, this.#alert.element, h("div", { class: "columns" }, lesson, known));
    show2();
  }
  server;
  changed;
  panel;
  #alert = new Alert();
  #name = h("input", { id: "lesson-name", maxlength: 100, placeholder: "What the lesson is about", spellcheck: "false" });
  #kind = h("select", { id: "lesson-kind" }, h("option", { value: "pairs" }, "Questions and answers"), h("option", { value: "document" }, "A text, about which the model asks itself"), h("option", { value: "feedback" }, "What was said of answers in the chat"));
  #text = h("textarea", { rows: 8, id: "lesson-text", spellcheck: "false", placeholder: "Q: Where does Mira live?\nA: In Varna." });
  #written = field("Text", this.#text, "“Q:” and “A:”, or a question, a tab and its answer a line, or lines of JSON with question and answer; or any text.");
  #accept = h("input", { type: "checkbox", id: "lesson-accept" });
  #supersede = h("input", { type: "checkbox", id: "lesson-supersede" });
  #start = button("Learn", () => void this.#begin(), { class: "primary", id: "lesson-start" });
  #waiting = h("p", { class: "muted", role: "status", id: "feedback-waiting" });
  #list = h("div", { id: "lessons" });
  #timer;
  /** Tells how many rows of feedback wait for a lesson. */
  wait(rows) {
    this.#waiting.textContent = rows === 1 ? "One answer was judged since the last lesson." : `${rows} answers were judged since the last lesson.`;
    this.#kind.value = "feedback";
    this.#written.hidden = true;
  }
  /** Looks at all lessons, and again while one runs. */
  async refresh() {
    clearTimeout(this.#timer);
    const { data } = await this.server.get("/v1/lessons");
    const board = data.some(({ number }) => number !== null) ? await this.server.get("/v1/board") : { lessons: [] };
    const lines = new Map(board.lessons.map(({ number, line }) => [number, line]));
    const entries = data.map((lesson) => this.#entry(lesson, lines.get(lesson.number ?? 0)));
    this.#list.replaceChildren(...entries.length > 0 ? entries : [h("p", { class: "muted" }, "Nothing yet.")]);
    const runs = data.some(({ state }) => state === "learning");
    this.#start.disabled = runs;
    if (runs) this.#timer = setTimeout(() => void this.#alert.guard(() => this.refresh()), LOOK);
    else await this.changed();
  }
  #entry(lesson, line) {
    const { number, name, state, progress, epoch, gate, error, notes } = lesson;
    const act = (label, path, body, kind = "quiet") => button(label, () => void this.#act(path, body), { class: kind, "aria-label": `${label}: ${name}` });
    const at2 = epoch ? `, epoch ${epoch.epoch} of ${epoch.epochs}, loss ${epoch.loss.toFixed(3)}${epoch.recall === null ? "" : `, ${percent(epoch.recall)} recalled`}` : "";
    return h(
      "article",
      { class: "lesson" },
      h("p", {}, h("strong", {}, number === null ? name : `${number} ${name}`), " ", h("span", { class: "muted", role: "status" }, STATES[state] ?? state)),
      line !== void 0 && h("p", { class: "muted" }, line),
      progress && h("p", { class: "progress-line" }, `${progress.what}${at2}`),
      progress && h("progress", { max: 1, value: progress.share, "aria-label": "Parts done" }),
      gate !== null && gate !== void 0 && h("ul", { class: "list gate" }, ...gate.words.map((words) => h("li", {}, words))),
      ...(notes ?? []).map((note) => h("p", { class: "muted" }, note)),
      error !== null && error !== void 0 && h("p", { class: "bad" }, error),
      h(
        "div",
        { class: "buttons" },
        state === "waiting" && act("Accept", `/v1/lessons/${number}/accept`, {}, "primary"),
        state === "waiting" && act("Reject", `/v1/lessons/${number}/reject`, {}),
        state === "kept_apart" && act("Accept all the same", `/v1/lessons/${number}/accept`, {}),
        state === "accepted" && act("Take back, with all after it", "/v1/rollback", { lesson: number }),
        (state === "stopped" || state === "failed") && act("Go on", "/v1/lessons", {})
      )
    );
  }
  async #begin() {
    await this.#alert.guard(async () => {
      const name = this.#name.value.trim();
      await this.server.post("/v1/lessons", {
        ...this.#source(),
        ...name !== "" && { name },
        ...this.#accept.checked && { accept: true },
        ...this.#supersede.checked && { supersede: true }
      });
      [this.#text.value, this.#name.value, this.#waiting.textContent] = ["", "", ""];
      await this.refresh();
    });
  }
  /** What is to be learned; an error in words if there is nothing. */
  #source() {
    if (this.#kind.value === "feedback") return { feedback: true };
    const text = this.#text.value.trim();
    if (text === "") {
      this.#text.focus();
      throw new Error("there is nothing to learn: write it into the text");
    }
    if (this.#kind.value === "document") return { document: text };
    return { pairs: parsePairs(text).pairs.split("\n").map((line) => JSON.parse(line)) };
  }
  async #act(path, body) {
    await this.#alert.guard(async () => {
      await this.server.post(path, body);
      await this.refresh();
    });
  }
};

// serve/src/main.ts
var at = (id) => {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
};
var server = new Server();
var alert = new Alert();
var learn = new Learn(server, offer);
var chat = new Chat(server, (rows) => learn.wait(rows));
var noLibrary = h(
  "section",
  { class: "panel" },
  h("p", {}, "This server has no library to learn into. Start it with one, and it learns while it serves:"),
  h("pre", {}, h("code", {}, "stepladder serve -m MODEL --library notes.library"))
);
var learns;
async function offer() {
  const { data } = await server.get("/v1/models");
  const names = data.map(({ id }) => id);
  chat.offer(names, learns === true);
  at("status").replaceChildren(h("span", { class: "dot on" }), `${names[0] ?? ""} on this server`);
}
async function begin() {
  await alert.guard(async () => {
    try {
      await server.get("/v1/lessons");
      learns = true;
    } catch (error) {
      if (!(error instanceof Refusal && error.code === "no_library")) throw error;
      learns = false;
    }
    noLibrary.hidden = learns;
    learn.panel.hidden = !learns;
    await offer();
    if (learns) await learn.refresh();
  });
}
function askKey() {
  if (document.getElementById("key")) return;
  const key = h("input", { type: "password", id: "key", autocomplete: "off" });
  const form = h(
    "form",
    { class: "card", onsubmit: (event) => (event.preventDefault(), form.remove(), server.use(key.value.trim()), void begin()) },
    field("API key", key, "That of `stepladder serve --api-key-file`. It is kept until this tab is closed."),
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, "Go on"))
  );
  at("content").prepend(form);
  key.focus();
}
server.onKey = askKey;
setUpTheme(at("theme"));
at("address").textContent = `${location.origin}/v1`;
at("content").append(alert.element);
var lessons = h("section", { class: "panel" }, noLibrary, learn.panel);
var show = setUpTabs(at("tabs"), at("content"), [
  { id: "chat", label: "Chat", panel: chat.panel },
  { id: "learn", label: "Learn", panel: lessons }
]);
addEventListener("hashchange", () => show(location.hash.slice(1)));
void begin();
