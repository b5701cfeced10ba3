// The runs that this browser keeps: going on with them, deleting them. Each tab shows those of its kind.

import { StepladderError, listRuns, removeRun, type RunKind, type StoredRun } from "stepladder";
import type { Alert } from "./alert.js";
import { button, card, h } from "./dom.js";
import { bytes } from "./format.js";
import type { Session } from "./session.js";

/** What is known of the store, by all tabs. */
let known: StoredRun[] = [];
let looking: Promise<void> | undefined;
const lists = new Set<StoredRuns>();

/** Looks into the store; those who ask while that is under way hear of the same look. */
function look(): Promise<void> {
  looking ??= listRuns().then(
    (runs) => {
      [known, looking] = [runs, undefined];
      for (const list of lists) list.draw();
    },
    (error: unknown) => {
      looking = undefined;
      // A browser that keeps no files has no runs either; loading says so where it matters.
      if (!(error instanceof StepladderError && error.code === "storage")) throw error;
    },
  );
  return looking;
}

export class StoredRuns {
  readonly #list = h("ul", { class: "list" });
  readonly element: HTMLElement;

  constructor(
    private readonly session: Session,
    private readonly kind: RunKind,
    private readonly alert: Alert,
    private readonly goOn: (run: StoredRun) => void,
    /** What taking up a finished run, for what it has learned, is called; without it that is not offered. */
    private readonly again?: string,
  ) {
    this.element = card("Runs kept in this browser", { class: "stored" }, this.#list);
    lists.add(this);
    session.watch(() => this.draw());
    void look().catch((error: unknown) => this.alert.show(error));
  }

  /** A name that no kept run has, so that none is overwritten. */
  freeName(wish: string): string {
    const taken = new Set(known.map((run) => run.name));
    for (let at = 2, name = wish; ; at += 1) {
      if (!taken.has(name)) return name;
      name = `${wish}-${at}`;
    }
  }

  /** Looks again: a look that is under way may have been too early. */
  async refresh(): Promise<void> {
    await looking?.catch(() => undefined);
    await look().catch((error: unknown) => this.alert.show(error));
  }

  draw(): void {
    const mine = known.filter((run) => run.kind === this.kind);
    this.element.hidden = mine.length === 0;
    this.#list.replaceChildren(...mine.map((run) => this.#entry(run)));
  }

  #entry(run: StoredRun): HTMLElement {
    const { model, busy } = this.session.state;
    const other = model !== undefined && model.info.name !== run.model;
    const again = run.finished ? this.again : undefined;
    const goOn = button(again ?? "Go on", () => this.goOn(run), {
      class: "quiet go-on",
      disabled: model === undefined || busy !== undefined || other || (run.finished && again === undefined),
      title: other ? `Load ${run.model} to go on` : undefined,
      "aria-label": `${again ?? "Go on with"} ${run.name}`,
    });
    const remove = button("Delete", () => void this.alert.guard(() => removeRun(run.name)).then(() => this.refresh()), {
      class: "quiet",
      disabled: busy !== undefined,
      "aria-label": `Delete ${run.name}`,
    });
    const what = [run.problem, run.model, `step ${run.step} of ${run.steps}`, bytes(run.bytes), run.finished && "finished"].filter(Boolean).join(", ");
    return h("li", {}, h("span", { class: "name" }, run.name), h("span", { class: "muted" }, what), goOn, remove);
  }
}
