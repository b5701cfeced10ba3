// Models that this browser keeps: sizes, loading again, deleting.

import { listCached, removeCached, type CachedModel } from "stepladder";
import { button, h } from "./dom.js";
import { bytes } from "./format.js";

export class StoredModels {
  readonly element = h("div", {});

  constructor(private readonly load: (source: string) => void) {
    this.refresh();
  }

  refresh(): void {
    listCached().then(
      (models) => this.#draw(models),
      (error: Error) => this.element.replaceChildren(h("p", { class: "bad" }, error.message)),
    );
  }

  #draw(models: CachedModel[]): void {
    if (models.length === 0) {
      this.element.replaceChildren(h("p", { class: "muted" }, "No downloaded models yet."));
      return;
    }
    const total = models.reduce((sum, model) => sum + model.bytes, 0);
    const rows = models.map((model) => {
      const whole = model.files.every((file) => file.complete);
      return h(
        "li",
        {},
        h("span", { class: "name" }, model.source),
        h("span", { class: "muted" }, `${bytes(model.bytes)}${whole ? "" : ", not complete"}`),
        button(whole ? "Load" : "Go on", () => this.load(model.source), { class: "quiet", "aria-label": `Load ${model.source}` }),
        button("Delete", () => void removeCached(model.source).finally(() => this.refresh()), { class: "quiet", "aria-label": `Delete ${model.source}` }),
      );
    });
    this.element.replaceChildren(h("ul", { class: "list" }, ...rows), h("p", { class: "muted" }, `${bytes(total)} in all.`));
  }
}
