// A real model (98 MB, 4-bit GGUF) streams through a small WASM heap to the GPU, and says what native code says.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { check, nodeEnvironment, root, test } from "./harness.mjs";

/** Bytes of the WASM heap while the model loads. */
const MOST_HEAP = 300e6;
/** By the native program, with which the fixture of the Rust tests agrees. */
const LOGPROBS = [-11.539291, -0.337611, -2.438667, -0.450947, -0.258079, -0.380135];

test("98 MB of weights need little of the WASM heap, and the log-probabilities are native's", () => {
  const model = String(execFileSync(join(root, "scripts/models.sh"), { stdio: ["ignore", "pipe", "inherit"] })).trim();
  const program = `
    import { load } from "./dist/index.js";
    import init from "./dist/wasm/stepladder.js";
    const model = await load(${JSON.stringify(model)});
    const { memory } = await init();
    const { logprobs } = await model.score("The capital of France is Paris.");
    console.log(JSON.stringify({ heap: memory.buffer.byteLength, gpuBytes: model.info.gpuBytes, logprobs }));
    process.exit(0);`;
  const options = { cwd: join(root, "web"), env: nodeEnvironment(), input: program, timeout: 200_000, stdio: ["pipe", "pipe", "inherit"] };
  const seen = JSON.parse(String(execFileSync(process.execPath, ["--input-type=module", "-"], options)));
  console.log(`      WASM heap ${(seen.heap / 1e6).toFixed(0)} MB, GPU ${(seen.gpuBytes / 1e6).toFixed(0)} MB`);
  // A WASM heap never shrinks, so its size after loading is its peak.
  check(seen.heap < MOST_HEAP, `${seen.heap} bytes`);
  check(seen.gpuBytes > 90e6, `${seen.gpuBytes} bytes on the GPU`);
  const worst = Math.max(...seen.logprobs.map((value, at) => Math.abs(value - LOGPROBS[at])));
  check(seen.logprobs.length === LOGPROBS.length && worst < 1e-3, `differ by ${worst}`);
});
