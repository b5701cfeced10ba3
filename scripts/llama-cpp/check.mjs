// Exports each model as a GGUF file (F32 for what is small, else F16), and compares greedy tokens of llama.cpp with this program's.
// Arguments: the program, models.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

const { getLlama } = await import(pathToFileURL(process.env.NODE_LLAMA_CPP));
const TOKENS = 32;
const TEXT = "The capital of France is";

const [program, ...models] = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), "llama-cpp-"));
const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: "error" });

/** The greedy tokens of llama.cpp; a model's begin token is put before the text as its file says. */
async function theirs(file) {
    const model = await llama.loadModel({ modelPath: file });
    const context = await model.createContext({ contextSize: 256, threads: 1, batchSize: 64 });
    const begin = model.tokens.shouldPrependBosToken ? [model.tokens.bos] : [];
    const tokens = [];
    for await (const token of context.getSequence().evaluate([...begin, ...model.tokenize(TEXT, true)], { temperature: 0 })) {
        if (tokens.push(token) >= TOKENS) break;
    }
    await model.dispose();
    return tokens;
}

/** The greedy tokens of this program on the model itself. */
function ours(args) {
    const options = ["-p", TEXT, "--temperature", "0", "--max-tokens", String(TOKENS), "--json"];
    const lines = execFileSync(program, ["generate", ...args, ...options], { encoding: "utf8" }).trim().split("\n");
    const [completion] = JSON.parse(lines.at(-1)).completions;
    // The end token is among the tokens here and not there.
    return completion.finish_reason === "length" ? completion.tokens : completion.tokens.slice(0, -1);
}

let failed = 0;
try {
    for (const model of models) {
        const adapter = existsSync(join(model, "adapter")) ? ["--adapter", join(model, "adapter")] : [];
        const type = adapter.length ? "f32" : "f16";
        const file = join(work, "model.gguf");
        const options = ["--format", "gguf", "--quantize", type, "--output", file, "--overwrite"];
        execFileSync(program, ["export", "-m", model, ...adapter, ...options], { stdio: ["ignore", "ignore", "ignore"] });
        const [want, got] = [ours(["-m", model, ...adapter]), await theirs(file)];
        const same = JSON.stringify(want) === JSON.stringify(got);
        failed += same ? 0 : 1;
        console.log(`${basename(model)} ${type}: ${same ? `the same ${got.length} tokens` : `DIFFERS: ${want} here, ${got} there`}`);
    }
} finally {
    rmSync(work, { recursive: true });
}
process.exit(failed ? 1 : 0);
