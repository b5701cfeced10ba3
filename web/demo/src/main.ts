// The page: its tabs, and what they share.

import { tasks } from "stepladder";
import "./style.css";
import { ChatTab } from "./chat-tab.js";
import { h } from "./dom.js";
import { LadderTab } from "./ladder-tab.js";
import { LearnTab } from "./learn-tab.js";
import { ModelTab } from "./model-tab.js";
import { Session } from "./session.js";
import { setUpTabs } from "./tabs.js";
import { TeachTab } from "./teach-tab.js";
import { setUpTheme } from "./theme.js";
import { TtrlTab } from "./ttrl-tab.js";
import { gpuName } from "./gpu-name.js";
import { findGpu, unsupportedPanel } from "./unsupported.js";

const find = <Kind extends HTMLElement>(id: string) => document.getElementById(id) as Kind;

// A file that misses its target must not take the page, and a run in it, away.
for (const type of ["dragover", "drop"] as const) {
  addEventListener(type, (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
}

async function start(): Promise<void> {
  setUpTheme(find<HTMLButtonElement>("theme"));
  const main = find("content");
  const gpu = await findGpu();
  if (typeof gpu === "string") {
    find("tabs").hidden = true;
    main.append(unsupportedPanel(gpu));
    return;
  }
  const session = new Session();
  const known = tasks();
  const ladder = new LadderTab(session, known);
  const model = new ModelTab(session, gpu, () => void watch());
  const show = setUpTabs(find("tabs"), main, [
    { id: "model", label: "Model", panel: model.panel },
    { id: "chat", label: "Chat", panel: new ChatTab(session).panel },
    { id: "ladder", label: "LADDER", panel: ladder.panel },
    { id: "ttrl", label: "TTRL", panel: new TtrlTab(session, known).panel },
    { id: "learn", label: "Learn", panel: new LearnTab(session, new TeachTab(session).panel).panel },
  ]);
  session.show = (tab) => {
    show(tab);
    find(`panel-${tab}`).focus();
  };
  session.watch(({ model: loaded, busy, note }) => {
    const name = loaded ? `${loaded.info.name} on ${gpuName(loaded.info.gpu, gpu)}` : "No model loaded";
    find("status").replaceChildren(h("span", { class: busy ? "dot busy" : loaded ? "dot on" : "dot", "aria-hidden": "true" }), [busy ?? name, note].filter(Boolean).join(" · "));
  });

  /** The one button: the embedded model on the problems that come with it. */
  async function watch(): Promise<void> {
    const present = session.state.model?.info.name === "tiny";
    if (!present && !(await model.load("tiny"))) return;
    session.show("ladder");
    await ladder.start();
  }
}

void start();
