// Choosing, dropping and fetching a model; what it is, and what fits on this device.

import { StepladderError, listCached, load, type LoadOptions, type LoadProgress, type Model, type Source } from "stepladder";
import { Alert } from "./alert.js";
import { button, card, field, h } from "./dom.js";
import { bytes, count } from "./format.js";
import { dropZone } from "./drop.js";
import { FitView } from "./fit-view.js";
import { gpuName } from "./gpu-name.js";
import { PreFlightCard } from "./pre-flight.js";
import type { Session } from "./session.js";
import { StoredModels } from "./stored-models.js";

/** What a server does not tell is no reason to refuse a model: the load itself will see. */
function unsized(error: unknown): boolean {
  if (error instanceof StepladderError && error.code === "no_length") return true;
  throw error;
}

const STAGES = { download: "Downloading", cache: "From this browser’s store", weights: "Onto the GPU", ready: "Ready" };

export class ModelTab {
  readonly panel: HTMLElement;
  readonly #alert = new Alert();
  readonly #line = h("p", { class: "progress-line", role: "status" });
  readonly #bar = h("progress", { max: 1, value: 0, "aria-label": "Loading" });
  readonly #cancel = button("Cancel", () => this.#abort?.abort(), { class: "quiet", hidden: true });
  readonly #progress = h("div", { class: "progress", hidden: true }, this.#line, this.#bar, this.#cancel);
  readonly #facts = h("dl", { class: "facts" });
  readonly #fit = new FitView();
  readonly #loaded = card("This model", { class: "loaded", hidden: true }, this.#facts, this.#fit.element);
  readonly #address = h("input", { type: "text", placeholder: "hf:OWNER/NAME or https://…/model.gguf", autocomplete: "off", spellcheck: "false" });
  readonly #keep = h("input", { type: "checkbox", checked: true });
  readonly #endpoint = h("input", { type: "url", placeholder: "https://huggingface.co", autocomplete: "off" });
  readonly #token = h("input", { type: "password", autocomplete: "off" });
  readonly #stored = new StoredModels((source) => void this.#fetch(source));
  readonly #preFlight = new PreFlightCard();
  #abort: AbortController | undefined;

  constructor(
    private readonly session: Session,
    /** What the browser says about the GPU, where the engine says nothing. */
    private readonly adapter: GPUAdapterInfo,
    teach: () => void,
  ) {
    const start = button("Watch the small model teach itself", teach, { class: "primary large", id: "watch" });
    const fetchIt = h(
      "form",
      { class: "row", onsubmit: (event: Event) => (event.preventDefault(), void this.#fetch(this.#address.value.trim())) },
      field("A model on the net", this.#address, "Safetensors of a Llama, Qwen, Gemma or similar model, or a GGUF file."),
      h("button", { type: "submit", id: "fetch" }, "Load"),
    );
    this.panel = h(
      "section",
      { class: "panel" },
      h(
        "div",
        { class: "hero" },
        h("p", { class: "lead" }, "A language model that writes itself easier problems, checks its own answers, and learns from what held."),
        h("p", {}, "This is LADDER: when a problem is too hard, the model makes simpler variants of it, climbs those first, and a numeric verifier says what is right. All of it runs here."),
        start,
        h("p", { class: "muted" }, "A model of 1.4 MB learns to integrate. It takes a few minutes and needs nothing but this page."),
      ),
      this.#progress,
      this.#alert.element,
      this.#preFlight.element,
      h(
        "div",
        { class: "columns" },
        h("div", { class: "stage" }, card(
          "Choose a model",
          {},
          button("Load the small built-in model", () => this.load("tiny"), { id: "load-tiny" }),
          fetchIt,
          dropZone((source) => void this.load(source)),
          h(
            "details",
            {},
            h("summary", {}, "More about downloads"),
            field("Keep downloads in this browser", this.#keep, "The next visit then needs no network."),
            field("Another hub", this.#endpoint, "Address of a mirror that speaks Hugging Face’s paths."),
            field("Access token", this.#token, "Only for models that ask for one; sent to the hub and nowhere else, and not kept."),
          ),
        ),
        card("Kept in this browser", { class: "stored" }, this.#stored.element)),
        this.#loaded,
      ),
    );
    session.watch(({ model, busy }) => {
      this.#loaded.hidden = model === undefined;
      if (model && busy === undefined) this.#describe(model);
      for (const control of this.panel.querySelectorAll<HTMLButtonElement>("#load-tiny, #watch, #fetch, .drop button")) control.disabled = busy !== undefined;
    });
  }

  /** Says what a model on the net needs, and loads it if the visitor then wants it. */
  async #fetch(source: string): Promise<void> {
    if (source === "") {
      this.#alert.show(new Error("no model is named: write hf:OWNER/NAME or an address that ends in .gguf"));
      this.#address.focus();
      return;
    }
    let wanted = true;
    await this.#alert.guard(async () => {
      wanted = false;
      const abort = (this.#abort = new AbortController());
      this.#progress.hidden = this.#cancel.hidden = false;
      this.#line.textContent = "Looking at the model’s headers …";
      this.#bar.removeAttribute("value");
      try {
        const known = (await listCached()).find((model) => model.source === source);
        const { onProgress: _, cache, ...options } = this.#options();
        const shown = (): boolean => (this.#progress.hidden = true);
        const whole = known?.files.every((file) => file.complete) === true;
        wanted = whole || (await this.#preFlight.ask(source, { ...options, signal: abort.signal }, cache !== false, shown).catch(unsized));
      } finally {
        this.#progress.hidden = true;
      }
    });
    if (wanted) await this.load(source);
  }

  /** Loads a model in place of the present one; true if it worked. */
  async load(source: Source): Promise<boolean> {
    let done = false;
    await this.#alert.guard(async () => {
      this.#abort = new AbortController();
      this.#progress.hidden = this.#cancel.hidden = false;
      this.#show({ stage: "download", file: "", done: 0, total: undefined });
      try {
        await this.session.occupy("loading a model", async () => {
          await this.session.state.model?.dispose();
          this.session.update({ model: undefined, trained: false });
          const model = await load(source, this.#options());
          model.onRecovered((message) => this.session.update({ note: message }));
          this.session.update({ model });
        });
        done = true;
      } finally {
        this.#progress.hidden = true;
        this.#stored.refresh();
      }
    });
    return done;
  }

  #options(): LoadOptions {
    const options: LoadOptions = { cache: this.#keep.checked, onProgress: (progress) => this.#show(progress) };
    if (this.#abort) options.signal = this.#abort.signal;
    if (this.#endpoint.value.trim()) options.endpoint = this.#endpoint.value.trim();
    if (this.#token.value) options.token = this.#token.value;
    return options;
  }

  #show({ stage, file, done, total }: LoadProgress): void {
    const size = total === undefined ? (done > 0 ? bytes(done) : "") : `${bytes(done)} of ${bytes(total)}`;
    this.#line.textContent = [STAGES[stage], file, size].filter(Boolean).join(" · ");
    if (total === undefined) this.#bar.removeAttribute("value");
    else this.#bar.value = total > 0 ? done / total : 1;
  }

  #describe(model: Model): void {
    const { info } = model;
    const facts: [string, string][] = [
      ["Name", info.name],
      ["Kind", `${info.family}, ${info.layers} layers, ${count(info.parameters)} parameters`],
      ["Context", `${count(info.contextLength)} tokens`],
      ["Adapter", info.trainableParameters > 0 ? `${count(info.trainableParameters)} parameters that learn` : "none yet; it comes with the first lesson"],
      ["Memory on the GPU", bytes(info.gpuBytes)],
      ["GPU", `${gpuName(info.gpu, this.adapter)}${info.gpu.software ? ", on the processor: correct but slow" : ""}`],
    ];
    this.#facts.replaceChildren(...facts.flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]));
    const length = (wish: number | undefined): number => Math.min(wish ?? info.contextLength, info.contextLength);
    void this.#fit.show((workload) => model.fit({ ...workload, length: length(workload.length) })).catch((error: unknown) => this.#alert.show(error));
  }
}
