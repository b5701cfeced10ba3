// The page of a server: chat, and lessons where the server has a library.

import { field, h } from "../../demo/src/dom.js";
import { setUpTabs } from "../../demo/src/tabs.js";
import { setUpTheme } from "../../demo/src/theme.js";
import { Alert } from "./alert.js";
import { Chat } from "./chat.js";
import { Learn } from "./learn.js";
import { Refusal, Server } from "./server.js";

const at = <Element extends HTMLElement>(id: string): Element => {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as Element;
};

const server = new Server();
const alert = new Alert();
const learn = new Learn(server, offer);
const chat = new Chat(server, (rows) => learn.wait(rows));
const noLibrary = h(
  "section",
  { class: "panel" },
  h("p", {}, "This server has no library to learn into. Start it with one, and it learns while it serves:"),
  h("pre", {}, h("code", {}, "stepladder serve -m MODEL --library notes.library")),
);

/** Whether there is a library; asked once, since it does not change while a server runs. */
let learns: boolean | undefined;

async function offer(): Promise<void> {
  const { data } = await server.get<{ data: { id: string }[] }>("/v1/models");
  const names = data.map(({ id }) => id);
  chat.offer(names, learns === true);
  at("status").replaceChildren(h("span", { class: "dot on" }), `${names[0] ?? ""} on this server`);
}

async function begin(): Promise<void> {
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

/** Asks for the key that the server wants. */
function askKey(): void {
  if (document.getElementById("key")) return;
  const key = h("input", { type: "password", id: "key", autocomplete: "off" });
  const form = h(
    "form",
    { class: "card", onsubmit: (event: Event) => (event.preventDefault(), form.remove(), server.use(key.value.trim()), void begin()) },
    field("API key", key, "That of `stepladder serve --api-key-file`. It is kept until this tab is closed."),
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, "Go on")),
  );
  at("content").prepend(form);
  key.focus();
}

server.onKey = askKey;
setUpTheme(at<HTMLButtonElement>("theme"));
at("address").textContent = `${location.origin}/v1`;
at("content").append(alert.element);
const lessons = h("section", { class: "panel" }, noLibrary, learn.panel);
const show = setUpTabs(at("tabs"), at("content"), [
  { id: "chat", label: "Chat", panel: chat.panel },
  { id: "learn", label: "Learn", panel: lessons },
]);
addEventListener("hashchange", () => show(location.hash.slice(1)));
void begin();
