// The fixture models in a real browser against PyTorch's numbers, with the bounds of the native tests (tests/models.rs).
import { check, test } from "./harness.mjs";
import { withDevice } from "./rust.mjs";

const RUNS = [
  { model: "llama", title: "" },
  { model: "qwen2", title: "" },
  { model: "qwen3", title: "" },
  { model: "gemma3", title: "" },
  { model: "smollm3", title: "" },
  { model: "granite", title: "" },
  { model: "ministral3", title: "" },
  { model: "olmo2", title: "" },
  { model: "olmo3", title: "" },
  { model: "phi3", title: "" },
  { model: "llama", title: " in WebGPU's default limits", defaultLimits: true },
  { model: "qwen3", title: " in the kernels for GPUs", software: false },
];

test("every fixture model is among these", () =>
  withDevice({}, async (call) => {
    const { models } = await call(() => JSON.parse(window.rust.names()));
    for (const model of models) check(RUNS.some((run) => run.model === model), `${model} is not`);
  }));

for (const { model, title, ...device } of RUNS) {
  const body = (call) =>
    call(async (name) => {
      const model = window.device.load_model(name);
      await model.logprobs();
      await model.greedy();
      await model.gradients(512);
      // One sequence at a time: the rows of a pack are no family's matter.
      if (name === "llama") await model.gradients(1);
    }, model);
  test(`${model}${title}: log-probabilities, greedy text, loss and gradients are PyTorch's`, () => withDevice(device, body));
}
