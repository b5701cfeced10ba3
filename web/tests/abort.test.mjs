// An abort is heard within a second on every path of a real model, and what comes next does not wait for what was aborted.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { openPage, root, test } from "./harness.mjs";

/** Milliseconds from an abort to its error. */
const HEARD = 1000;
/** Milliseconds from an abort to the answer of a call that was made right after it, where no kernel is left to compile. */
const FREE = 6000;

test("aborted: prefill, score, training, an evaluation, a run; and dispose", async () => {
  const path = String(execFileSync(join(root, "scripts/models.sh"), { stdio: ["ignore", "pipe", "inherit"] })).trim();
  const { page, close } = await openPage();
  await page.setContent('<input type="file">');
  await page.locator("input").setInputFiles(path);
  const seen = await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    const model = await load(document.querySelector("input").files[0]);
    const all = async (stream) => {
      for await (const _ of stream);
    };
    const words = "The quick brown fox jumps over the lazy dog. ".repeat(60);
    const lesson = Array.from({ length: 16 }, () => ({ text: words }));
    const task = { module: URL.createObjectURL(new Blob(["export default { name: 'own', prompt: (problem) => problem, verify: () => true }"], { type: "text/javascript" })) };
    const settings = { group_size: 2, prompts_per_step: 1, "variants.enabled": false, "sampling.max_tokens": 8 };
    const paths = {
      score: (signal) => model.score(words, { signal }),
      prefill: (signal) => all(model.generate(words, { maxTokens: 4, signal })),
      chat: (signal) => all(model.chat([{ role: "user", content: words }], { maxTokens: 4, signal })),
      train: (signal) => all(model.train(lesson, { batchSize: 4, rank: 2, signal })),
      evaluate: (signal) => model.evaluate({ task, problems: [words, `${words}!`], samples: 2, maxTokens: 8, signal }),
      ladder: (signal) => model.ladder({ task, problems: [words], settings, steps: 1, signal }).result,
    };
    // A software device compiles kernels for seconds, which nothing can interrupt: those of the first paths are made before.
    const warm = words.slice(0, 300);
    await model.score(warm);
    await all(model.generate(warm, { maxTokens: 4 }));
    const times = {};
    for (const [name, start] of Object.entries(paths)) {
      const abort = new AbortController();
      const code = start(abort.signal).then(() => "done", (error) => error.code);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const at = performance.now();
      abort.abort();
      times[name] = { code: await code, heard: performance.now() - at };
      await model.fit();
      times[name].free = performance.now() - at;
    }
    const rest = model.score(words).then(() => "done", (error) => error.code);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const at = performance.now();
    await model.dispose();
    await model.dispose();
    times.dispose = { code: await rest, heard: performance.now() - at, free: performance.now() - at };
    return times;
  });
  for (const [name, { code, heard, free }] of Object.entries(seen)) {
    console.log(`      ${name}: ${code} after ${heard.toFixed(0)} ms, free after ${free.toFixed(0)} ms`);
  }
  for (const [name, { code, heard, free }] of Object.entries(seen)) {
    assert.ok(code === "aborted" || (name === "dispose" && code === "disposed"), `${name}: ${code}`);
    assert.ok(heard < HEARD, `${name}: ${JSON.stringify(seen[name])}`);
    if (["score", "prefill", "chat"].includes(name)) assert.ok(free < FREE, `${name}: ${JSON.stringify(seen[name])}`);
  }
  await close();
}, { seconds: 600 });
