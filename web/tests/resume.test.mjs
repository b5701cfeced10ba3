// Runs that are cut off: by a closed tab, a pause, a full store, a lost device. Each goes on from its last checkpoint.

import assert from "node:assert/strict";
import { SHORT, openPage, test } from "./harness.mjs";

/** Another tab of the same browser, after the first was closed. */
async function nextTab({ page, context, server }) {
  await page.close();
  const next = await context.newPage();
  await next.goto(`${server.url}/`);
  return next;
}

const LESSON = { examples: Array.from({ length: 8 }, (_, i) => ({ prompt: `?${i + 2}*x=`, completion: "x+x+x" })), options: { steps: 6, batchSize: 4, learningRate: 5e-3, rank: 4, seed: 3 } };

test("supervised steps go on after their tab was closed, with the numbers of the run that was never stopped", async () => {
  const first = await openPage();
  const whole = await first.page.evaluate(async ({ examples, options }) => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const losses = [];
    for await (const step of model.train(examples, options)) losses.push(step.loss);
    // Begun under a name, and left in the middle of step 5 by closing the tab.
    await model.adapter.clear();
    for await (const step of model.train(examples, { ...options, run: "lesson", checkpointEvery: 2 })) if (step.step === 4) return losses;
    return losses;
  }, LESSON);
  const second = await nextTab(first);
  const seen = await second.evaluate(async ({ options }) => {
    const { load, listRuns, removeRun, runLog } = await import("/dist/index.js");
    const before = (await listRuns())[0];
    const log = await runLog("lesson");
    const model = await load("tiny");
    const steps = [];
    for await (const step of model.train([], { run: "lesson", resume: true })) steps.push(step);
    const trainable = model.info.trainableParameters;
    const after = (await listRuns())[0];
    // A run that is done gives its adapter again, and the name is not taken for another kind.
    await model.adapter.clear();
    for await (const step of model.train([], { run: "lesson", resume: true })) steps.push(step);
    const again = model.info.trainableParameters;
    const other = await model.ladder({ task: "integral", problems: ["2*x"], run: "lesson", resume: true }).result.catch(({ code, message, hint }) => ({ code, message, hint }));
    const report = await model.report("lesson").catch(({ code }) => code);
    await model.dispose();
    await removeRun("lesson");
    return { before, log, steps, trainable, again, after, other, report, left: await listRuns(), options };
  }, LESSON);
  assert.deepEqual([seen.before.kind, seen.before.steps, seen.before.finished], ["train", 6, false]);
  assert.ok(seen.before.step === 2 || seen.before.step === 4, JSON.stringify(seen.before));
  assert.equal(seen.log.kind, "train");
  assert.deepEqual(seen.log.events.map(({ step }) => step), Array.from({ length: seen.before.step }, (_, i) => i + 1));
  const losses = [...seen.log.events, ...seen.steps].map(({ loss }) => loss);
  assert.deepEqual(losses, whole);
  assert.ok(seen.after.finished && seen.after.step === 6, JSON.stringify(seen.after));
  assert.ok(seen.trainable > 0 && seen.again === seen.trainable, `${seen.trainable} ${seen.again}`);
  assert.ok(seen.other.code === "usage" && /model\.train/.test(seen.other.hint), JSON.stringify(seen.other));
  assert.equal(seen.report, "usage");
  assert.deepEqual(seen.left, []);
  await first.close();
});

test("test-time learning pauses, and goes on after its tab was closed to the same answer", async () => {
  const first = await openPage();
  const options = { task: "integral", problem: "3*x^2", settings: SHORT, steps: 3, votes: 4, seed: 1 };
  const whole = await first.page.evaluate(async (options) => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const run = model.ttrl(options);
    const types = [];
    let paused = 0;
    for await (const event of run) {
      types.push(event.type);
      if (event.type === "step" && event.step === 1 && paused === 0) {
        await run.pause();
        paused += 1;
        await run.resume();
      }
    }
    const result = await run.result;
    for await (const event of model.ttrl({ ...options, run: "question" })) if (event.type === "step" && event.step === 2) break;
    return { types, paused, result };
  }, options);
  assert.equal(whole.paused, 1);
  assert.equal(whole.types.at(-1), "finished");
  assert.deepEqual(whole.types.filter((type) => type === "step").length, 3);
  assert.equal(whole.result.steps, 3);
  const second = await nextTab(first);
  const seen = await second.evaluate(async (options) => {
    const { load, listRuns, runLog } = await import("/dist/index.js");
    const before = (await listRuns())[0];
    const log = await runLog("question");
    const model = await load("tiny");
    const others = {
      votes: { votes: 5 },
      seed: { seed: 2 },
      "settings.group_size": { settings: { group_size: 3 } },
      problem: { problem: "4*x^3" },
      task: { task: "countdown" },
      keep: { keep: true },
      preset: { preset: "small" },
    };
    const refused = {};
    for (const [name, other] of Object.entries(others)) {
      const call = model.ttrl({ ...options, ...other, run: "question", resume: true }).result;
      refused[name] = await call.then(() => "taken", ({ code, message }) => `${code}: ${message}`);
    }
    const run = model.ttrl({ ...options, run: "question", resume: true });
    const events = [];
    for await (const event of run) events.push(event);
    const result = await run.result;
    const { trainableParameters } = model.info;
    await model.dispose();
    return { before, log, refused, events, result, trainableParameters, after: (await listRuns())[0] };
  }, options);
  assert.deepEqual([seen.before.kind, seen.before.steps, seen.before.problem, seen.before.finished], ["ttrl", 3, "3*x^2", false]);
  assert.ok(seen.before.step >= 1, JSON.stringify(seen.before));
  for (const [name, words] of Object.entries(seen.refused)) assert.ok(words.startsWith(`usage: ${name}`), words);
  assert.deepEqual(seen.before.task, { name: "integral", options: {} });
  assert.equal(seen.events[0].resumed_from, seen.before.step);
  const steps = [...seen.log.events, ...seen.events].filter(({ type }) => type === "step").map(({ step }) => step);
  assert.deepEqual(steps, [1, 2, 3]);
  assert.deepEqual(seen.result, whole.result);
  assert.equal(seen.trainableParameters, 0, "the temporary adapter is dropped");
  assert.ok(seen.after.finished, JSON.stringify(seen.after));
  await first.close();
});

test("a store that gets full while a run goes on: a warning, the run ends, the last whole checkpoint is kept", async () => {
  const first = await openPage();
  const { page, context, server } = first;
  const protocol = await context.newCDPSession(page);
  const options = { task: "integral", problems: ["2*x", "3*x^2"], settings: SHORT, steps: 4, seed: 1, run: "full" };
  await page.evaluate(async (options) => {
    const { load } = await import("/dist/index.js");
    window.model = await load("tiny");
    window.run = window.model.ladder(options);
    window.events = [];
    window.done = (async () => {
      for await (const event of window.run) window.events.push(event);
    })();
    // Step 1 is told after its checkpoint of step 0, and the one of step 1 follows at once.
    await new Promise((resolve) => {
      const look = () => (window.events.some(({ type, step }) => type === "step" && step === 2) ? resolve() : setTimeout(look, 5));
      look();
    });
  }, options);
  await protocol.send("Storage.overrideQuotaForOrigin", { origin: server.url, quotaSize: 1000 });
  const seen = await page.evaluate(async () => {
    await window.done;
    const result = await window.run.result;
    const report = await window.model.report();
    const files = await window.model.adapter.save();
    const { listRuns } = await import("/dist/index.js");
    return { result, warnings: window.events.filter(({ type }) => type === "warning"), adapter: files.length, report: report.length, runs: await listRuns() };
  });
  assert.deepEqual([seen.result.reason, seen.result.step], ["completed", 4]);
  const told = seen.warnings.filter(({ message }) => /no space/.test(message));
  assert.equal(told.length, 1, JSON.stringify(seen.warnings));
  assert.ok(seen.adapter === 2 && seen.report > 5000, JSON.stringify(seen));
  assert.ok(seen.runs[0].step >= 1 && seen.runs[0].step < 4 && !seen.runs[0].finished, JSON.stringify(seen.runs));
  const refused = await page.evaluate(async (options) => {
    const problems = Array.from({ length: 400 }, (_, i) => `${i + 2}*x`);
    return window.model.ladder({ ...options, run: "another", problems }).result.catch(({ code, message, hint }) => ({ code, message, hint }));
  }, options);
  assert.equal(refused.code, "quota", JSON.stringify(refused));
  // With space again, what was kept goes on to the end in another tab.
  await protocol.send("Storage.overrideQuotaForOrigin", { origin: server.url });
  const second = await nextTab(first);
  const after = await second.evaluate(async (options) => {
    const { load, listRuns } = await import("/dist/index.js");
    const model = await load("tiny");
    const others = { problems: { problems: ["2*x"] }, heldOut: { heldOut: ["x^5"] }, seed: { seed: 2 }, steps: { steps: 0 } };
    const refused = {};
    for (const [name, other] of Object.entries(others)) {
      const call = model.ladder({ ...options, ...other, resume: true }).result;
      refused[name] = await call.then(() => "taken", ({ code, message }) => `${code}: ${message}`);
    }
    const result = await model.ladder({ ...options, resume: true }).result;
    await model.dispose();
    return { result, refused, runs: await listRuns() };
  }, options);
  for (const [name, words] of Object.entries(after.refused)) assert.ok(/^usage: (--)?/.test(words) && words.includes(name), words);
  assert.deepEqual(after.result, seen.result);
  assert.ok(after.runs.find(({ name }) => name === "full").finished, JSON.stringify(after.runs));
  await first.close();
});

/** Keeps the worker's devices where a test can lose them. */
const KEEP_DEVICES =
  "const ask = GPUAdapter.prototype.requestDevice; self.devices = [];" +
  "GPUAdapter.prototype.requestDevice = async function (...wish) { const device = await ask.apply(this, wish); self.devices.push(device); return device; };\n";

test("a device that is lost in mid-run: LADDER, test-time learning and supervised steps go on from their last checkpoint", async () => {
  const { page, context, close } = await openPage();
  await context.route("**/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: KEEP_DEVICES + (await response.text()) });
  });
  await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    window.model = await load("tiny");
    window.told = [];
    window.model.onRecovered((message) => window.told.push(message));
  });
  const lose = async () => {
    let destroyed = 0;
    for (const worker of page.workers()) destroyed += await worker.evaluate(() => self.devices.splice(0).map((device) => device.destroy()).length);
    assert.equal(destroyed, 1);
  };
  const calls = {
    ladder: { task: "integral", problems: ["2*x", "3*x^2"], settings: SHORT, steps: 3, seed: 1 },
    ttrl: { task: "integral", problem: "3*x^2", settings: SHORT, steps: 3, votes: 4, seed: 1 },
    train: { ...LESSON.options, checkpointEvery: 1 },
  };
  for (const [name, options] of Object.entries(calls)) {
    await page.evaluate(
      ([name, options, examples]) => {
        window.steps = [];
        const run = name === "train" ? window.model.train(examples, options) : window.model[name](options);
        window.done = (async () => {
          for await (const event of run) if (name === "train" || event.type === "step") window.steps.push(event.step);
          return run.result;
        })();
      },
      [name, options, LESSON.examples],
    );
    await page.waitForFunction(() => window.steps.includes(1));
    await lose();
    const seen = await page.evaluate(async () => ({ result: await window.done, steps: window.steps, told: window.told.splice(0) }));
    assert.equal(seen.told.length, 1, `${name}: ${JSON.stringify(seen)}`);
    // A step may be told twice: the one that was under way.
    assert.deepEqual([...new Set(seen.steps)], Array.from({ length: options.steps }, (_, i) => i + 1), name);
    assert.ok(seen.steps.length <= options.steps + 1, `${name} began anew: ${seen.steps}`);
    await page.evaluate(() => window.model.adapter.clear());
  }
  await page.evaluate(() => window.model.dispose());
  await close();
});

test("a task of the page's own: a module works, an object and what else cannot cross say what to do", async () => {
  const { page, context, close } = await openPage();
  await context.route("**/tests/bare.mjs", (route) => route.fulfill({ contentType: "text/javascript", body: "export const nothing = 1;" }));
  const seen = await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    const task = (await import("/tests/task.mjs")).default;
    const model = await load("tiny");
    const caught = async (work) => {
      try {
        await work();
        return null;
      } catch ({ name, code, message, hint }) {
        return { name, code, message, hint };
      }
    };
    const errors = [
      await caught(() => model.evaluate({ task, problems: ["?2*x="] })),
      await caught(() => model.ladder({ task, problems: ["?2*x="] }).result),
      await caught(async () => {
        for await (const _ of model.ttrl({ task, problem: "?2*x=" }));
      }),
      await caught(() => model.evaluate({ task: { module: "/tests/nowhere.mjs" }, problems: ["x"] })),
      await caught(() => model.evaluate({ task: { module: "/tests/bare.mjs" }, problems: ["x"] })),
      await caught(() => model.evaluate({ task: "integral", problems: ["x"], samples: () => 1 })),
    ];
    const text = "export default { name: 'own', prompt: (problem) => problem, verify: () => true }";
    const module = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const made = await model.evaluate({ task: { module }, problems: ["?2*x="], maxTokens: 4 });
    await model.dispose();
    return { errors, made: made.passAt["1"] };
  });
  for (const error of seen.errors) assert.ok(error?.name === "StepladderError" && error.code === "usage" && error.hint.length > 5, JSON.stringify(seen.errors));
  for (const { message, hint } of seen.errors.slice(0, 3)) assert.ok(/letters/.test(message) && /module:/.test(hint), message);
  assert.match(seen.errors[3].message, /nowhere\.mjs cannot be loaded/);
  assert.match(seen.errors[4].message, /bare\.mjs exports no task/);
  assert.equal(seen.made, 1);
  await close();
});
