// Pause, resume and stop of a run.

import type { Run } from "stepladder";
import type { Alert } from "./alert.js";
import { button } from "./dom.js";
import type { RunView } from "./run-view.js";

export class RunControl {
  readonly pause: HTMLButtonElement;
  readonly stop: HTMLButtonElement;
  #run: Pick<Run<unknown>, "pause" | "resume" | "stop"> | undefined;
  #paused = false;

  constructor(id: string, alert: Alert, private readonly view: RunView) {
    this.pause = button("Pause", () => void alert.guard(() => this.#toggle()), { disabled: true, id: `${id}-pause` });
    this.stop = button("Stop", () => void alert.guard(async () => this.#run?.stop()), { disabled: true, id: `${id}-stop` });
  }

  begin(run: Pick<Run<unknown>, "pause" | "resume" | "stop">): void {
    this.#run = run;
    this.#show(true);
  }

  end(): void {
    this.#run = undefined;
    this.#show(false);
  }

  #show(running: boolean): void {
    this.pause.disabled = this.stop.disabled = !running;
    this.pause.textContent = "Pause";
    this.#paused = false;
  }

  async #toggle(): Promise<void> {
    if (!this.#run) return;
    this.#paused = !this.#paused;
    this.pause.disabled = true;
    this.pause.textContent = this.#paused ? "Resume" : "Pause";
    if (this.#paused) {
      this.view.say("Pausing after a checkpoint …");
      await this.#run.pause();
      this.view.say("Paused. The GPU is free; the model stays loaded.");
    } else {
      await this.#run.resume();
      this.view.say("Going on …");
      this.view.goOn();
    }
    this.pause.disabled = this.#run === undefined;
  }
}
