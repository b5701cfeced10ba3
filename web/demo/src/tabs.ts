// Tabs after the ARIA pattern: one stop for the Tab key, arrows between them, the panel next.

import { h } from "./dom.js";

export interface Tab {
  id: string;
  label: string;
  panel: HTMLElement;
}

/** Fills `bar` and `main`; gives a function that shows a tab by its id. */
export function setUpTabs(bar: HTMLElement, main: HTMLElement, tabs: Tab[]): (id: string) => void {
  const list = h("div", { role: "tablist", "aria-label": "stepladder" });
  const buttons = tabs.map((tab) =>
    h("button", { type: "button", role: "tab", id: `tab-${tab.id}`, "aria-controls": `panel-${tab.id}`, onclick: () => show(tab.id) }, tab.label),
  );
  tabs.forEach(({ id, label, panel }) => {
    panel.id = `panel-${id}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${id}`);
    panel.tabIndex = 0;
    panel.prepend(h("h2", { class: "for-readers" }, label));
  });
  const show = (id: string) => {
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
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    const next = to === undefined ? undefined : buttons.at(to % tabs.length);
    if (at < 0 || !next) return;
    event.preventDefault();
    next.focus();
    next.click();
  });
  list.append(...buttons);
  bar.append(list);
  main.append(...tabs.map((tab) => tab.panel));
  const wished = location.hash.slice(1);
  show(tabs.some((tab) => tab.id === wished) ? wished : (tabs[0]?.id ?? ""));
  return show;
}
