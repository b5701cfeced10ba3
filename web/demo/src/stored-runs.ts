// The runs of one kind that this browser keeps: going on with them, deleting them.

import { StepladderError, listRuns, removeRun, type RunKind, type StoredRun } from "stepladder";
import type { Alert } from "./alert.js";
import { button, card, h } from "./dom.js";
import { bytes } from "./format.js";
import type { Session } from "./session.js";

export class StoredRuns {
  readonly #list = h("ul", { class: "list" });
  readonly element: HTMLElement;
  #runs: StoredRun[] = [];

  constructor(
    private readonly session: Session,
    private readonly kind: RunKind,
    private readonly alert: Alert,
    private readonly goOn: (run: StoredRun) => void,
    /** What taking up a finished run is called; without it that is not offered. */
    private readonly again?: string,
  ) {
    this.element = card("Runs kept in this browser", { class: "stored" }, this.#list);
    session.watch(() => this.#draw());
    void this.refresh();
  }

  /** A name that no kept run has, so that none is overwritten. */
  freeName(wish: string): string {
    const taken = new Set(this.#runs.map((run) => run.name));
    for (let at = 2, name = wish; ; at += 1) {
      if (!taken.has(name)) return name;
      name = `${wish}-${at}`;
    }
  }

  async refresh(): Promise<void> {
    try {
      this.#runs = await listRuns();
    } catch (error) {
      this.#runs = [];
      if (!(error instanceof StepladderError && error.code === "storage")) this.alert.show(error);
    }
    this.#draw();
  }

  #draw(): void {
    const mine = this.#runs.filter((run) => run.kind === this.kind);
    this.element.hidden = mine.length === 0;
    const { model, busy } = this.session.state;
    this.#list.replaceChildren(
      ...mine.map((run) => {
        const other = model !== undefined && model.info.name !== run.model;
        const goOn = button(run.finished && this.again ? this.again : "Go on", () => this.goOn(run), {
          class: "quiet go-on",
          disabled: model === undefined || busy !== undefined || other || (run.finished && !this.again),
          title: other ? `Load ${run.model} to go on` : undefined,
          "aria-label": `${run.finished && this.again ? this.again : "Go on with"} ${run.name}`,
        });
        const remove = button("Delete", () => void this.alert.guard(() => removeRun(run.name).then(() => this.refresh())), {
          class: "quiet",
          disabled: busy !== undefined,
          "aria-label": `Delete ${run.name}`,
        });
        const what = `${run.problem === undefined ? "" : `${run.problem}, `}${run.model}, step ${run.step} of ${run.steps}, ${bytes(run.bytes)}${run.finished ? ", finished" : ""}`;
        return h("li", {}, h("span", { class: "name" }, run.name), h("span", { class: "muted" }, what), goOn, remove);
      }),
    );
  }
}
