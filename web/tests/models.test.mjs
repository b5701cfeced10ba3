// The fixture models in a real browser against PyTorch's numbers, with the bounds of the native tests (tests/models.rs).
import assert from "node:assert/strict";
import { test } from "./harness.mjs";
import { withDevice } from "./rust.mjs";

// Families share a device: nearly all of their time is a software driver's, which compiles each pipeline once.
const RUNS = [
  {
    models: ["llama", "qwen2", "qwen3", "gemma3", "smollm3", "granite", "ministral3", "olmo2", "olmo3", "phi3"],
    title: "every family",
  },
  { models: ["llama"], title: "llama in WebGPU's default limits", defaultLimits: true },
  { models: ["qwen3"], title: "qwen3 in the kernels for GPUs", software: false },
];

for (const { models, title, ...device } of RUNS) {
  const body = async (call) => {
    const { models: fixtures } = await call(() => JSON.parse(window.rust.names()));
    if (models.length > 1) assert.deepEqual([...models].sort(), fixtures.sort(), "every fixture model is among these");
    for (const name of models) {
      try {
        await call(async (name) => {
          const model = window.device.load_model(name);
          await model.logprobs();
          await model.greedy();
          await model.gradients(512);
          // One sequence at a time: the rows of a pack are no family's matter.
          if (name === "llama") await model.gradients(1);
        }, name);
      } catch (error) {
        throw new Error(`${name}: ${error.stack ?? error}`);
      }
    }
  };
  test(`${title}: log-probabilities, greedy text, loss and gradients are PyTorch's`, () => withDevice(device, body), { seconds: 600 });
}
