/* tslint:disable */
/* eslint-disable */

/**
 * A model on the GPU. Its methods are called one after the other, but for `cancel` and those that only look.
 */
export class Engine {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    /**
     * Asks what is running to stop at the next opportunity.
     */
    cancel(): void;
    /**
     * Answers a conversation, a JSON list of messages; otherwise as [`Engine::generate`].
     *
     * # Errors
     * As [`Engine::generate`], and `usage` if the model has no chat template.
     */
    chat(messages: string, options: string, on_text: Function): Promise<string>;
    /**
     * Back to the base model.
     */
    clear_adapter(): void;
    /**
     * Gives everything on the GPU back. Nothing may be running.
     */
    dispose(): void;
    /**
     * Answers problems and judges the answers; the answer is JSON.
     *
     * # Errors
     * As [`Engine::ladder`].
     */
    evaluate(options: string, task: any, on_event: Function): Promise<string>;
    /**
     * What training and sampling of a given size need of the GPU, as JSON (`Fit`).
     *
     * # Errors
     * `usage` for a rank that cannot be.
     */
    fit(options: string): string;
    /**
     * Continues `prompt`; `on_text(text)` gets the pieces as they come. The answer is JSON (`Completion`).
     *
     * # Errors
     * `context`, `usage`, `cancelled`, GPU errors.
     */
    generate(prompt: string, options: string, on_text: Function): Promise<string>;
    /**
     * Bytes in buffers on the GPU now.
     */
    gpu_bytes(): number;
    /**
     * Whether there is an adapter.
     */
    has_adapter(): boolean;
    /**
     * The model and its device, as JSON (`ModelInfo`).
     *
     * # Errors
     * None in practice.
     */
    info(): string;
    /**
     * Runs a card from the beginning, or from the bytes of its last checkpoint. `task` is an object with a task's methods, or
     * undefined for the card's own; `store` keeps log and checkpoints; `on_event(json)` gets every event. The answer is the
     * `finished` event.
     *
     * # Errors
     * `usage`, `out_of_memory`; `cancelled` and `diverged` after a checkpoint; GPU errors.
     */
    ladder(card: string, task: any, saved: Uint8Array | number[] | null | undefined, store: any, on_event: Function): Promise<string>;
    /**
     * What defines a new LADDER run, as JSON: every setting, the problems, the model.
     *
     * # Errors
     * `usage` that names the setting at fault.
     */
    ladder_card(options: string): string;
    /**
     * Opens the device and the model in `files`, objects with `name`, `size` and a synchronous `readAt(offset, into)`,
     * and streams the weights to the device. `progress(done, total)` is called in between.
     *
     * # Errors
     * `no_adapter`, `out_of_memory`; `input` for files that are damaged or contradict each other.
     */
    static load(name: string, files: Array<any>, options: string, progress: Function): Promise<Engine>;
    /**
     * Takes the two files of a PEFT folder.
     *
     * # Errors
     * `input` if a file is damaged or does not fit the model.
     */
    load_adapter(config: Uint8Array | number[], weights: Uint8Array | number[]): void;
    /**
     * Makes the device unusable, as a driver reset would; for tests of the recovery from that.
     */
    lose_device(): void;
    /**
     * The adapter as the files of a PEFT folder: an array of `{name, bytes}`.
     *
     * # Errors
     * `usage` if nothing was trained or loaded.
     */
    save_adapter(): Array<any>;
    /**
     * Log-probability of each token of `text` given those before it, as JSON.
     *
     * # Errors
     * `context`, `usage`, `cancelled`, GPU errors.
     */
    score(text: string, with_adapter: boolean): Promise<string>;
    /**
     * Supervised steps on `examples` (JSON lines); `on_step(json)` gets each (`TrainStep`). A call that is cancelled keeps
     * what was learnt.
     *
     * # Errors
     * `input` with the line at fault, `usage`, `out_of_memory`, `cancelled`, `diverged`, GPU errors.
     */
    train(examples: string, options: string, on_step: Function): Promise<void>;
    /**
     * Learns one problem's neighbourhood and answers it; `on_event(json)` gets every event. The answer is JSON.
     *
     * # Errors
     * As [`Engine::ladder`].
     */
    ttrl(options: string, task: any, on_event: Function): Promise<string>;
}

/**
 * Step and length of the log of a checkpoint, as JSON.
 *
 * # Errors
 * `input` if it is damaged.
 */
export function checkpoint_info(state: Uint8Array | number[]): string;

/**
 * The report of a run as one HTML page, from its card, its log (JSON lines) and its last checkpoint.
 *
 * # Errors
 * `input` if one of the three is damaged.
 */
export function report(card: string, log: string, state: Uint8Array | number[]): string;

/**
 * A panic would otherwise show as nothing but `unreachable`.
 */
export function start(): void;

/**
 * The built-in tasks with their parameters, as JSON.
 *
 * # Errors
 * None in practice.
 */
export function tasks(): string;

/**
 * The verdict on one answer, as JSON; needs no GPU. `options` and `problem` are JSON objects.
 *
 * # Errors
 * `usage` for a task or an option that there is not.
 */
export function verify(task: string, options: string, problem: string, answer: string): string;

/**
 * Version of the package.
 */
export function version(): string;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_engine_free: (a: number, b: number) => void;
    readonly checkpoint_info: (a: number, b: number) => [number, number, number, number];
    readonly engine_cancel: (a: number) => void;
    readonly engine_chat: (a: number, b: number, c: number, d: number, e: number, f: any) => any;
    readonly engine_clear_adapter: (a: number) => void;
    readonly engine_dispose: (a: number) => void;
    readonly engine_evaluate: (a: number, b: number, c: number, d: any, e: any) => any;
    readonly engine_fit: (a: number, b: number, c: number) => [number, number, number, number];
    readonly engine_generate: (a: number, b: number, c: number, d: number, e: number, f: any) => any;
    readonly engine_gpu_bytes: (a: number) => number;
    readonly engine_has_adapter: (a: number) => number;
    readonly engine_info: (a: number) => [number, number, number, number];
    readonly engine_ladder: (a: number, b: number, c: number, d: any, e: number, f: number, g: any, h: any) => any;
    readonly engine_ladder_card: (a: number, b: number, c: number) => [number, number, number, number];
    readonly engine_load: (a: number, b: number, c: any, d: number, e: number, f: any) => any;
    readonly engine_load_adapter: (a: number, b: number, c: number, d: number, e: number) => [number, number];
    readonly engine_lose_device: (a: number) => void;
    readonly engine_save_adapter: (a: number) => [number, number, number];
    readonly engine_score: (a: number, b: number, c: number, d: number) => any;
    readonly engine_train: (a: number, b: number, c: number, d: number, e: number, f: any) => any;
    readonly engine_ttrl: (a: number, b: number, c: number, d: any, e: any) => any;
    readonly report: (a: number, b: number, c: number, d: number, e: number, f: number) => [number, number, number, number];
    readonly start: () => void;
    readonly tasks: () => [number, number, number, number];
    readonly verify: (a: number, b: number, c: number, d: number, e: number, f: number, g: number, h: number) => [number, number, number, number];
    readonly version: () => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h0a3227caeb56ba3b: (a: number, b: number, c: any) => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h0a3227caeb56ba3b_27: (a: number, b: number, c: any) => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h0a3227caeb56ba3b_30: (a: number, b: number, c: any) => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h0a3227caeb56ba3b_31: (a: number, b: number, c: any) => [number, number];
    readonly wasm_bindgen__convert__closures_____invoke__h4e55900fedff954a: (a: number, b: number, c: any, d: any) => void;
    readonly wasm_bindgen__convert__closures_____invoke__h890dbfbbdc182e44: (a: number, b: number, c: any) => void;
    readonly wasm_bindgen__convert__closures_____invoke__h890dbfbbdc182e44_29: (a: number, b: number, c: any) => void;
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_realloc: (a: number, b: number, c: number, d: number) => number;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __wbindgen_exn_store: (a: number) => void;
    readonly __externref_table_alloc: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_destroy_closure: (a: number, b: number) => void;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path?: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
