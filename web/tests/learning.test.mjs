// Training, LADDER, test-time learning and the evaluation on the tiny model in a real browser, with few tokens.

import { SHORT, check, openPage, test } from "./harness.mjs";

test("training lowers the loss, and the adapter is kept, saved, loaded and cleared", async () => {
  const { page, close, errors } = await openPage();
  const seen = await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const examples = Array.from({ length: 8 }, (_, i) => ({ prompt: `?${i + 2}*x=`, completion: "x+x+x" }));
    const losses = [];
    for await (const step of model.train(examples, { steps: 8, batchSize: 8, learningRate: 5e-3, rank: 4 })) losses.push(step.loss);
    const text = async (options) => {
      let text = "";
      for await (const chunk of model.generate("?3*x=", { temperature: 0, maxTokens: 8, ...options })) text += chunk.text;
      return text;
    };
    const [trained, base] = [await text({}), await text({ adapter: false })];
    const trainable = model.info.trainableParameters;
    const files = await model.adapter.save();
    await model.adapter.clear();
    const cleared = await text({});
    await model.adapter.load(files);
    const loaded = await text({});
    await model.dispose();
    return { losses, trained, base, cleared, loaded, trainable, names: files.map(({ name }) => name) };
  });
  check(seen.losses.length === 8 && seen.losses[7] < seen.losses[0] / 2, `losses ${seen.losses}`);
  check(seen.trained === seen.loaded && seen.base === seen.cleared && seen.trained !== seen.base, JSON.stringify(seen));
  check(seen.trainable > 0, `${seen.trainable}`);
  check(seen.names.join() === "adapter_config.json,adapter_model.safetensors", seen.names.join());
  check(errors.length === 0, errors.join("\n"));
  await close();
});

test("without options it learns as on the command line, and measures what is held out", async () => {
  const { page, close, errors } = await openPage();
  const seen = await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const examples = Array.from({ length: 12 }, (_, i) => ({ prompt: `?${i + 2}*x=`, completion: "x+x+x" }));
    const train = async (options) => {
      await model.adapter.clear();
      const steps = [];
      for await (const step of model.train(examples, options)) steps.push(step);
      return steps;
    };
    const usual = await train({});
    const files = await model.adapter.save();
    const config = JSON.parse(new TextDecoder().decode(files[0].bytes ?? new Uint8Array(await files[0].arrayBuffer())));
    const all = await train({ heldOut: 0, epochs: 1 });
    const refused = await train({ heldOut: 0, patience: 2 }).catch(({ code, message }) => ({ code, message }));
    await model.dispose();
    return { usual, all, refused, config };
  });
  // One of twelve examples is held out, and ten epochs are made of the others, one a step.
  check(seen.usual.length === 110 && seen.usual.at(-1).steps === 110, `${seen.usual.length} steps`);
  const measured = seen.usual.filter(({ heldOutLoss }) => heldOutLoss !== undefined);
  check(measured.map(({ step }) => step).join() === Array.from({ length: 10 }, (_, i) => 11 * (i + 1)).join(), JSON.stringify(measured));
  check(measured.at(-1).heldOutLoss < measured[0].heldOutLoss, JSON.stringify(measured));
  check(Math.max(...seen.usual.map(({ learningRate }) => learningRate)) === 1e-3, "the highest rate");
  check(seen.config.r === 16 && seen.config.lora_alpha === 32, JSON.stringify(seen.config));
  check(seen.all.length === 6 && seen.all.every(({ heldOutLoss }) => heldOutLoss === undefined), JSON.stringify(seen.all));
  check(seen.refused.code === "usage" && /patience/.test(seen.refused.message), JSON.stringify(seen.refused));
  check(errors.length === 0, errors.join("\n"));
  await close();
});

test("a LADDER run ends, reports, and a paused one goes on", async () => {
  const { page, close } = await openPage();
  const seen = await page.evaluate(async (settings) => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const options = { task: "integral", problems: ["2*x", "3*x^2"], heldOut: ["5*x"], settings, steps: 2, seed: 1 };
    const run = model.ladder(options);
    const types = [];
    let paused = 0;
    for await (const event of run) {
      types.push(event.type);
      if (event.type === "step" && event.step === 1) {
        await run.pause();
        paused += 1;
        await run.resume();
      }
    }
    const result = await run.result;
    const report = await model.report();
    await model.dispose();
    return { types, paused, result, report };
  }, SHORT);
  for (const type of ["started", "variants", "verified", "step", "evaluated", "checkpoint", "finished"]) {
    check(seen.types.includes(type), `no ${type} in ${seen.types}`);
  }
  check(seen.paused === 1 && seen.types.filter((type) => type === "step").length === 2, seen.types.join());
  check(seen.result.reason === "completed" && seen.result.step === 2, JSON.stringify(seen.result));
  check(typeof seen.result.before === "number" && typeof seen.result.after === "number", JSON.stringify(seen.result));
  // The report as a visitor opens it: charts with labels that can be read, and the device's name.
  await page.setContent(seen.report);
  const charts = await page.evaluate(() =>
    [...document.querySelectorAll("svg")].map((svg) => {
      const [frame, labels] = [svg.getBoundingClientRect(), [...svg.querySelectorAll("text")].filter((label) => label.textContent.trim() !== "")];
      const inside = labels.every((label) => {
        const { left, right, height } = label.getBoundingClientRect();
        return left >= frame.left - 1 && right <= frame.right + 1 && height >= 8;
      });
      return { inside, lines: svg.querySelectorAll("polyline").length, labels: labels.map((label) => label.textContent.trim()) };
    }),
  );
  check(charts.length >= 3, JSON.stringify(charts));
  for (const chart of charts) {
    check(chart.inside && chart.lines > 0, JSON.stringify(chart));
    check(chart.labels.includes("1") && chart.labels.includes("2") && chart.labels.length >= 4, JSON.stringify(chart));
  }
  const device = await page.locator("p.sub", { hasText: "swiftshader" }).count();
  check(device === 1, "the report does not name the device");
  await close();
});

test("a run goes on in another page after its own was closed", async () => {
  const { page, context, server, close } = await openPage();
  const options = { task: "integral", problems: ["2*x", "3*x^2"], settings: SHORT, steps: 3, seed: 1, run: "closed" };
  await page.evaluate(async (options) => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    for await (const event of model.ladder(options)) {
      // The checkpoint of step 1 was saved before step 2 began.
      if (event.type === "step" && event.step === 2) return;
    }
  }, { ...options });
  await page.close();
  const second = await context.newPage();
  await second.goto(`${server.url}/`);
  const seen = await second.evaluate(async (options) => {
    const { load, listRuns, removeRun } = await import("/dist/index.js");
    const before = await listRuns();
    const model = await load("tiny");
    const run = model.ladder({ ...options, resume: true });
    const events = [];
    for await (const event of run) events.push(event);
    const result = await run.result;
    await model.dispose();
    const after = await listRuns();
    await removeRun("closed");
    return { before, after, result, started: events[0], left: await listRuns() };
  }, options);
  check(seen.before.length === 1 && seen.before[0].step >= 1 && !seen.before[0].finished, JSON.stringify(seen.before));
  check(seen.started.type === "started" && seen.started.resumed_from >= 1, JSON.stringify(seen.started));
  check(seen.result.step === 3 && seen.after[0].finished && seen.left.length === 0, JSON.stringify(seen));
  await close();
});

test("test-time learning answers, the evaluation counts, a task of the page's own is asked", async () => {
  const { page, close } = await openPage();
  const seen = await page.evaluate(async (settings) => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const run = model.ttrl({ task: "integral", problem: "3*x^2", settings, steps: 1, votes: 4, seed: 1 });
    const types = [];
    for await (const event of run) types.push(event.type);
    const answer = await run.result;
    const evaluation = await model.evaluate({ task: "integral", problems: ["2*x", "cos(x)"], samples: 2, maxTokens: 16 });
    const own = await model.evaluate({ task: { module: "/tests/task.mjs" }, problems: ["?2*x="], temperature: 0, maxTokens: 16 });
    await model.dispose();
    return { types, answer, evaluation, own };
  }, SHORT);
  check(seen.types.at(0) === "started" && seen.types.at(-1) === "finished", seen.types.join());
  check(seen.answer.votes.reduce((sum, vote) => sum + vote.count, 0) <= 4, JSON.stringify(seen.answer));
  check(seen.evaluation.n === 2 && seen.evaluation.passAt["1"] >= 0, JSON.stringify(seen.evaluation));
  check(seen.own.n === 1 && seen.own.passAt["1"] === 1, JSON.stringify(seen.own));
  await close();
});

test("a task of the page's own answers by promises, with numbers, in batches and within its time", async () => {
  const { page, close } = await openPage();
  const seen = await page.evaluate(async (settings) => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const short = { temperature: 0, maxTokens: 2 };
    const graded = { module: "/tests/graded.mjs" };
    const problems = ["?2*x=", "?3*x=", "?named=", "?late=", "?fails=", "?none=", "?high="];
    const began = performance.now();
    const own = await model.evaluate({ task: graded, problems, ...short });
    const seconds = (performance.now() - began) / 1000;
    const batch = await model.evaluate({ task: { module: "/tests/batch.mjs" }, problems: ["?2*x=", "?3*x=", "?4*x="], ...short });
    const weighed = { ...settings, "reward.weights.style": 0.5, "reward.weights.length": 1, "variants.enabled": false };
    const run = model.ladder({ task: { module: "/tests/batch.mjs" }, problems: ["?2*x=", "?3*x="], settings: weighed, steps: 1 });
    const steps = [];
    const warnings = [];
    for await (const event of run) {
      if (event.type === "step") steps.push(event);
      if (event.type === "warning") warnings.push(event.message);
    }
    await model.dispose();
    return { own, seconds, batch, steps, warnings };
  }, SHORT);
  check(JSON.stringify(seen.own.rewards) === '{"reward":{"mean":2.0,"ci95":[2.0,2.0]},"style":{"mean":-1.0,"ci95":null}}'.replaceAll(".0", ""), JSON.stringify(seen.own));
  check(Object.keys(seen.own.passAt).length === 0 && seen.seconds < 30, `${JSON.stringify(seen.own.passAt)} in ${seen.seconds} s`);
  check(seen.batch.rewards.reward.mean === 1 && seen.batch.rewards.asked.mean === 3, JSON.stringify(seen.batch.rewards));
  const [step] = seen.steps;
  check(Object.keys(step.rewards).join() === "asked,length,reward" && step.loss !== null && step.pass_rate === null, JSON.stringify(step));
  check(seen.warnings.some((text) => text.includes("named style,")), seen.warnings.join());
  await close();
});
