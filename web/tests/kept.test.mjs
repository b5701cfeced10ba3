// What was kept or learnt is never lost: bad arguments, a name that is taken, cleared site data, a GPU that does not come back at once.
import assert from "node:assert/strict";
import { SHORT, openPage, test } from "./harness.mjs";

const LESSON = Array.from({ length: 8 }, (_, i) => ({ prompt: `?${i + 2}*x=`, completion: "x+x+x" }));
const QUICK = { batchSize: 4, learningRate: 5e-3, rank: 4, seed: 3 };

/** Loads the tiny model as `window.model`, with helpers: all of a stream, and an error as plain data. */
async function withModel(page) {
  await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    window.model = await load("tiny");
    window.all = async (stream) => {
      const values = [];
      for await (const value of stream) values.push(value);
      return values;
    };
    window.caught = (work) => work.then(() => null, ({ name, code, message, hint }) => ({ name, code, message, hint }));
    window.text = async () => (await window.all(window.model.generate("?3*x=", { temperature: 0, maxTokens: 8 }))).map(({ text }) => text).join("");
  });
}

test("a call that fails on its own arguments leaves the kept run of its name as it is", async () => {
  const { page, close } = await openPage();
  await withModel(page);
  const seen = await page.evaluate(
    async ({ examples, quick, settings }) => {
      const { listRuns } = await import("/dist/index.js");
      const { model, all, caught } = window;
      // Left in the middle: a run that is not finished is the one that a new run may replace.
      for await (const step of model.train(examples, { ...quick, steps: 6, run: "a", checkpointEvery: 1 })) if (step.step === 3) break;
      // The next call waits until the one before has written what it still had to.
      await model.score("?2*x=");
      const before = await listRuns();
      const task = "integral";
      const problems = ["2*x"];
      const calls = {
        "no examples": () => all(model.train([], { run: "a" })),
        "an empty example": () => all(model.train([{ prompt: "", completion: "" }], { run: "a" })),
        "no example at all": () => all(model.train([{ nothing: 1 }], { run: "a" })),
        "a negative rank": () => all(model.train(examples, { run: "a", rank: -1 })),
        "no rank": () => all(model.train(examples, { run: "a", rank: 0 })),
        "a vast rank": () => all(model.train(examples, { run: "a", rank: 1e9 })),
        "half a step": () => all(model.train(examples, { run: "a", steps: 1.5 })),
        "no steps": () => all(model.train(examples, { run: "a", steps: 0 })),
        "an empty batch": () => all(model.train(examples, { run: "a", batchSize: 0 })),
        "a negative rate": () => all(model.train(examples, { run: "a", learningRate: -1 })),
        "a rate beyond numbers": () => all(model.train(examples, { run: "a", learningRate: 1e300 })),
        "a misspelt option": () => all(model.train(examples, { run: "a", learningrate: 1 })),
        "an unknown task": () => model.ladder({ task: "poems", problems, run: "a" }).result,
        "no problems": () => model.ladder({ task, problems: [], run: "a" }).result,
        "a misspelt setting": () => model.ladder({ task, problems, settings: { groupsize: 4 }, run: "a" }).result,
        "a setting out of range": () => model.ladder({ task, problems, settings: { group_size: 1 }, run: "a" }).result,
        "a misspelt option of ladder": () => model.ladder({ task, problems, setings: settings, run: "a" }).result,
        "an unknown preset": () => model.ladder({ task, problems, preset: "large", run: "a" }).result,
        "a task's misspelt option": () => model.ladder({ task: { name: task, options: { colour: "red" } }, problems, run: "a" }).result,
        "a missing module": () => model.ladder({ task: { module: "/nowhere.mjs" }, problems, run: "a" }).result,
        "too long a problem": () => model.ladder({ task, problems: ["x".repeat(5000)], settings, run: "a" }).result,
        "an unknown task of ttrl": () => model.ttrl({ task: "poems", problem: "2*x", run: "a" }).result,
        "no votes": () => model.ttrl({ task, problem: "2*x", votes: 0, run: "a" }).result,
        "resume of another kind": () => model.ladder({ task, problems, run: "a", resume: true }).result,
        "fewer steps than there were": () => all(model.train([], { run: "a", resume: true, steps: 1 })),
        "resume with another batch": () => all(model.train([], { run: "a", resume: true, batchSize: 2 })),
        "resume with another seed": () => all(model.train([], { run: "a", resume: true, seed: 9 })),
        "resume with another rank": () => all(model.train(examples, { run: "a", resume: true, rank: 2 })),
        "resume on other examples": () => all(model.train(examples.slice(1), { run: "a", resume: true })),
        "resume and overwrite": () => all(model.train(examples, { run: "a", resume: true, overwrite: true })),
        "an empty name": () => all(model.train(examples, { run: "" })),
      };
      const errors = {};
      for (const [what, call] of Object.entries(calls)) errors[what] = await caught(call());
      const after = await listRuns();
      const rest = await all(model.train(examples, { ...quick, run: "a", resume: true, learningRate: 1e-3 }));
      return { before, after, errors, rest: rest.map(({ step }) => step), rates: rest.map(({ learningRate }) => learningRate) };
    },
    { examples: LESSON, quick: QUICK, settings: SHORT },
  );
  for (const [what, error] of Object.entries(seen.errors)) {
    assert.ok(error !== null, `${what} was taken`);
    assert.ok(["usage", "input", "context", "out_of_memory"].includes(error.code), `${what}: ${JSON.stringify(error)}`);
    assert.ok(error.hint.length > 5, `${what}: ${JSON.stringify(error)}`);
  }
  for (const [what, words] of Object.entries({ batch: /^batchSize: is 2, but the run has 4/, seed: /^seed: is 9/, rank: /^rank: is 2/ })) {
    assert.match(seen.errors[`resume with another ${what}`].message, words);
  }
  assert.match(seen.errors["resume on other examples"].message, /^examples: are others/);
  assert.deepEqual(seen.after, seen.before);
  // The new rate, in its place of the cosine over six steps.
  const cosine = (step) => 0.5e-3 * (1 + Math.cos((Math.PI * (step - 1)) / 6));
  assert.ok(seen.rest.every((step, index) => Math.abs(seen.rates[index] - cosine(step)) < 1e-9), JSON.stringify(seen));
  assert.ok(seen.before[0].step >= 2 && seen.rest.at(-1) === 6 && seen.rest.length < 6, JSON.stringify(seen));
  await close();
});

test("a run is replaced only by one that learnt something, a finished one only with overwrite", async () => {
  const { page, close } = await openPage();
  await withModel(page);
  const seen = await page.evaluate(
    async ({ examples, quick }) => {
      const { listRuns, runLog } = await import("/dist/index.js");
      const { model, all, caught } = window;
      const whole = { ...quick, steps: 2, run: "a", checkpointEvery: 1 };
      await all(model.train(examples, whole));
      const finished = await listRuns();
      const refused = await caught(all(model.train(examples, { ...whole, steps: 3 })));
      const afterRefused = await listRuns();
      // One that is stopped before its first step.
      const abort = new AbortController();
      const stopped = all(model.train(examples, { ...whole, steps: 3, overwrite: true, signal: abort.signal }));
      setTimeout(() => abort.abort(), 10);
      const aborted = await caught(stopped);
      // The next call waits for the end of the one before.
      await model.score("?2*x=");
      const afterAbort = await listRuns();
      await all(model.train(examples, { ...whole, steps: 3, overwrite: true }));
      const replaced = await listRuns();
      const log = await runLog("a");
      // A run that is not finished is replaced without being asked, by one that learns.
      for await (const step of model.train(examples, { ...whole, steps: 9, overwrite: true })) if (step.step === 2) break;
      await model.score("?2*x=");
      const cut = await listRuns();
      await all(model.train(examples, { ...whole, steps: 1 }));
      const last = await listRuns();
      const folders = [];
      for await (const name of (await (await navigator.storage.getDirectory()).getDirectoryHandle("stepladder-runs")).keys()) folders.push(name);
      return { finished, refused, afterRefused, aborted, afterAbort, replaced, log: log.events.length, cut, last, folders };
    },
    { examples: LESSON, quick: QUICK },
  );
  const short = (runs) => runs.map(({ name, step, steps, finished }) => `${name} ${step}/${steps} ${finished}`).join();
  assert.equal(short(seen.finished), "a 2/2 true");
  assert.equal(seen.refused?.code, "exists", JSON.stringify(seen.refused));
  assert.match(seen.refused.hint, /overwrite: true/);
  assert.deepEqual(seen.afterRefused, seen.finished);
  assert.equal(seen.aborted?.code, "aborted", JSON.stringify(seen.aborted));
  assert.deepEqual(seen.afterAbort, seen.finished);
  assert.equal(short(seen.replaced), "a 3/3 true");
  assert.equal(seen.log, 3);
  assert.match(short(seen.cut), /^a [1-3]\/9 false$/);
  assert.equal(short(seen.last), "a 1/1 true");
  assert.equal(seen.folders.length, 1, seen.folders.join());
  await close();
});

test("a run at work in another tab: its name is busy there, to go on, to begin and to delete", async () => {
  const { page, context, server, close } = await openPage();
  const other = await context.newPage();
  await other.goto(`${server.url}/`);
  await withModel(page);
  await withModel(other);
  await page.evaluate(
    async ({ examples, quick }) => {
      window.abort = new AbortController();
      window.first = new Promise((resolve) => {
        window.done = (async () => {
          for await (const _ of window.model.train(examples, { ...quick, steps: 500, run: "a", checkpointEvery: 1, signal: window.abort.signal })) resolve();
        })().catch(() => undefined);
      });
      await window.first;
    },
    { examples: LESSON, quick: QUICK },
  );
  const seen = await other.evaluate(
    async ({ examples, quick }) => {
      const { listRuns, removeRun } = await import("/dist/index.js");
      const { model, all, caught } = window;
      return {
        runs: await listRuns(),
        errors: [
          await caught(all(model.train([], { run: "a", resume: true }))),
          await caught(all(model.train(examples, { ...quick, run: "a", overwrite: true }))),
          await caught(removeRun("a")),
        ],
      };
    },
    { examples: LESSON, quick: QUICK },
  );
  assert.equal(seen.runs.length, 1);
  for (const error of seen.errors) assert.ok(error?.code === "busy" && /`a` is at work/.test(error.message), JSON.stringify(error));
  await page.evaluate(() => (window.abort.abort(), window.done));
  await close();
});

/** Waits in the page until `window.steps` has `step`. */
const reached = (page, step) => page.waitForFunction((step) => window.steps.includes(step), step, { timeout: 120_000 });

test("site data cleared in the middle of a run: it goes on without its store, says so, and nothing learnt is lost", async () => {
  const { page, context, server, close } = await openPage();
  await withModel(page);
  const session = await context.newCDPSession(page);
  const clear = () => session.send("Storage.clearDataForOrigin", { origin: server.url, storageTypes: "all" });
  await page.evaluate(
    ({ examples, quick }) => {
      window.steps = [];
      window.warnings = [];
      window.done = (async () => {
        for await (const { step, warning } of window.model.train(examples, { ...quick, steps: 12, run: "a", checkpointEvery: 1 })) {
          window.steps.push(step);
          if (warning) window.warnings.push(warning);
        }
      })();
    },
    { examples: LESSON, quick: QUICK },
  );
  await reached(page, 2);
  await clear();
  const train = await page.evaluate(async () => {
    const error = await window.caught(window.done);
    const files = await window.caught(window.model.adapter.save());
    return { error, files, steps: window.steps, warnings: window.warnings, trainable: window.model.info.trainableParameters };
  });
  assert.equal(train.error, null, JSON.stringify(train.error));
  assert.equal(train.files, null, JSON.stringify(train.files));
  assert.equal(train.steps.at(-1), 12);
  assert.ok(train.trainable > 0);
  assert.ok(train.warnings.length === 1 && /in memory only/.test(train.warnings[0]), JSON.stringify(train.warnings));
  await page.evaluate(
    ({ settings }) => {
      window.steps = [];
      window.events = [];
      window.run = window.model.ladder({ task: "integral", problems: ["2*x", "3*x^2"], settings, steps: 3, seed: 1, run: "b" });
      window.done = (async () => {
        for await (const event of window.run) {
          window.events.push(event);
          if (event.type === "step") window.steps.push(event.step);
        }
      })();
    },
    { settings: SHORT },
  );
  await reached(page, 1);
  await clear();
  const ladder = await page.evaluate(async () => {
    const error = await window.caught(window.done);
    const report = error === null ? await window.model.report() : "";
    const { listRuns } = await import("/dist/index.js");
    return { error, result: error ?? (await window.run.result), steps: window.steps, warnings: window.events.filter(({ type }) => type === "warning"), report: report.length, runs: await listRuns() };
  });
  assert.equal(ladder.error, null, JSON.stringify(ladder.error));
  assert.equal(ladder.result.step, 3);
  assert.equal(ladder.warnings.filter(({ message }) => /in memory only/.test(message)).length, 1, JSON.stringify(ladder.warnings));
  assert.ok(ladder.report > 5000);
  assert.deepEqual(ladder.runs, []);
  await close();
});

/** Keeps the worker's devices where a test can lose them, and gives no adapter as often as a test says. */
const HOSTILE_GPU =
  "const device = GPUAdapter.prototype.requestDevice; self.devices = []; self.none = 0;" +
  "GPUAdapter.prototype.requestDevice = async function (...wish) { const made = await device.apply(this, wish); self.devices.push(made); return made; };" +
  "const ask = GPU.prototype.requestAdapter; GPU.prototype.requestAdapter = async function (...wish) { if (self.none > 0) { self.none -= 1; return null; } return ask.apply(this, wish); };\n";

for (const [what, none, whole] of [["once", 1, true], ["for long", 1000, false]]) {
  test(`a device lost while ${what} there is no other: what was learnt is kept, and a later call goes on`, async () => {
    const { page, context, close } = await openPage();
    await context.route("**/worker.js", async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: HOSTILE_GPU + (await response.text()) });
    });
    await withModel(page);
    await page.evaluate(
      ({ examples, quick }) => {
        window.steps = [];
        window.done = (async () => {
          for await (const { step } of window.model.train(examples, { ...quick, steps: 12, checkpointEvery: 1 })) window.steps.push(step);
        })();
        window.done.catch(() => undefined);
      },
      { examples: LESSON, quick: QUICK },
    );
    await reached(page, 4);
    const worker = page.workers()[0];
    await worker.evaluate((none) => {
      self.none = none;
      self.devices.splice(0).forEach((device) => device.destroy());
    }, none);
    const lost = await page.evaluate(async () => {
      const error = await window.caught(window.done);
      const saved = await window.model.adapter.save().catch(({ code, message }) => ({ code, message }));
      const during = error === null ? null : await window.caught(window.text());
      return { error, saved: saved.length ?? saved, during, steps: window.steps };
    });
    assert.equal(lost.saved, 2, JSON.stringify(lost));
    if (whole) {
      assert.equal(lost.error, null, JSON.stringify(lost.error));
      assert.equal(lost.steps.at(-1), 12);
    } else {
      for (const error of [lost.error, lost.during]) assert.ok(error?.code === "device_lost" && /adapter\.save/.test(error.hint), JSON.stringify(lost));
    }
    await worker.evaluate(() => (self.none = 0));
    const after = await page.evaluate(async () => {
      const trained = await window.text();
      const trainable = window.model.info.trainableParameters;
      await window.model.adapter.clear();
      return { trained, base: await window.text(), trainable };
    });
    assert.notEqual(after.trained, after.base, JSON.stringify(after));
    await close();
  });
}
