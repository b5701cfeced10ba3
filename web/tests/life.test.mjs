// Abort, errors, disposal and lost devices.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { check, nodeEnvironment, openBrowser, openPage, root, test } from "./harness.mjs";

test("an aborted generation ends soon, and the next one works", async () => {
  const { page, close } = await openPage();
  const seen = await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const abort = new AbortController();
    let error;
    let pieces = 0;
    try {
      for await (const chunk of model.generate("?", { temperature: 1.5, maxTokens: 250, seed: 3, signal: abort.signal })) {
        pieces += chunk.text.length > 0 ? 1 : 0;
        abort.abort();
      }
    } catch (thrown) {
      error = { name: thrown.name, code: thrown.code };
    }
    let text = "";
    for await (const chunk of model.generate("?3*x^2=", { temperature: 0, maxTokens: 8 })) text += chunk.text;
    await model.dispose();
    return { error, pieces, text };
  });
  check(seen.error?.name === "StepladderError" && seen.error.code === "aborted", JSON.stringify(seen));
  check(seen.text === "x^3", seen.text);
  await close();
});

test("a load that is aborted while its weights stream to the GPU ends at once, and the next one works", async () => {
  const path = String(execFileSync(join(root, "scripts/models.sh"), { stdio: ["ignore", "pipe", "inherit"] })).trim();
  const { page, close } = await openPage();
  await page.setContent('<input type="file">');
  await page.locator("input").setInputFiles(path);
  const seen = await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    const abort = new AbortController();
    let [abortedAt, share, after] = [0, 0, 0];
    const onProgress = ({ stage, done, total }) => {
      if (abort.signal.aborted) after += 1;
      if (stage !== "weights" || abort.signal.aborted) return;
      [abortedAt, share] = [performance.now(), done / total];
      abort.abort();
    };
    const error = await load(document.querySelector("input").files[0], { signal: abort.signal, onProgress }).then(
      () => undefined,
      ({ name, code, hint }) => ({ name, code, hint }),
    );
    const took = performance.now() - abortedAt;
    const model = await load("tiny");
    const { name } = model.info;
    await model.dispose();
    return { error, took, share, after, name };
  });
  check(seen.error?.name === "StepladderError" && seen.error.code === "aborted" && seen.error.hint.length > 5, JSON.stringify(seen));
  check(seen.took < 500 && seen.share < 0.5 && seen.after === 0, JSON.stringify(seen));
  check(seen.name === "tiny", seen.name);
  await close();
  // In Node the engine runs in the caller's own thread, whose listener is all that can abort.
  const program = `
    import { load } from "./dist/index.js";
    const abort = new AbortController();
    let after = 0;
    const onProgress = ({ stage }) => { after += abort.signal.aborted ? 1 : 0; if (stage === "weights") abort.abort(); };
    const code = await load(${JSON.stringify(path)}, { signal: abort.signal, onProgress }).then(() => "loaded", (error) => error.code);
    console.log(JSON.stringify({ code, after }));
    process.exit(0);`;
  const options = { cwd: join(root, "web"), env: nodeEnvironment(), input: program, timeout: 100_000, stdio: ["pipe", "pipe", "inherit"] };
  const node = JSON.parse(String(execFileSync(process.execPath, ["--input-type=module", "-"], options)));
  check(node.code === "aborted" && node.after <= 1, JSON.stringify(node));
});

test("errors have a code, name the option and say what to do", async () => {
  const { page, close } = await openPage();
  const seen = await page.evaluate(async () => {
    const { load, settings, verify, tasks } = await import("/dist/index.js");
    const caught = async (work) => {
      try {
        await work();
        return null;
      } catch ({ name, code, message, hint }) {
        return { name, code, message, hint };
      }
    };
    const rows = async () => {
      const [train, tiny, paper] = [await settings("train"), await settings("ladder", "tiny"), await settings("ladder", "paper")];
      const value = (list, path) => list.find((row) => row.path === path)?.value;
      return [value(train, "lora.rank"), value(train, "checkpoint_every"), value(train, "learning_rate"), value(tiny, "steps"), value(paper, "steps")];
    };
    const model = await load("tiny");
    const drain = async (stream) => {
      for await (const _ of stream);
    };
    const errors = [
      await caught(() => drain(model.generate("?", { temperature: -1 }))),
      await caught(() => model.score("x".repeat(10_000))),
      await caught(() => drain(model.chat([{ role: "user", content: "hi" }]))),
      await caught(() => model.adapter.save()),
      await caught(() => model.ladder({ task: "poems", problems: ["x"] }).result),
    ];
    await model.dispose();
    errors.push(await caught(() => model.score("x")));
    const verdicts = [await verify("integral", "2*x", "x^2 + C"), await verify("integral", "2*x", "x^3")];
    return { errors, verdicts: verdicts.map(({ verdict }) => verdict), tasks: (await tasks()).map(({ name }) => name), rows: await rows() };
  });
  check(seen.errors.map((error) => error?.code).join() === "usage,context,usage,usage,usage,disposed", JSON.stringify(seen.errors));
  check(seen.errors.every(({ name, hint }) => name === "StepladderError" && hint.length > 0), JSON.stringify(seen.errors));
  check(seen.errors[0].message.startsWith("temperature"), seen.errors[0].message);
  check(seen.verdicts.join() === "correct,wrong", seen.verdicts.join());
  check(JSON.stringify(seen.rows.slice(0, 3)) === "[16,5,null]" && seen.rows[3] !== seen.rows[4], JSON.stringify(seen.rows));
  check(seen.tasks.join() === "integral,countdown,jsonl", seen.tasks.join());
  await close();
});

test("twenty rounds of load and dispose take no more GPU memory than the first", async () => {
  const { page, close } = await openPage();
  const session = await (await openBrowser()).newBrowserCDPSession();
  /** Bytes of the browser's GPU process, where the device's buffers are: the software device has no other memory. */
  const gpuProcess = async () => {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    const gpu = processInfo.find(({ type }) => type === "GPU");
    return 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gpu.id}/status`, "utf8"))[1]);
  };
  // A software device compiles shaders for seconds, so only the rounds that are compared generate.
  const round = (generates) =>
    page.evaluate(async (generates) => {
      const { load } = await import("/dist/index.js");
      const model = await load("tiny");
      if (generates) for await (const _ of model.generate("?2*x=", { temperature: 0, maxTokens: 4 }));
      const fit = await model.fit({ rank: 8, batch: 8, length: 128 });
      const { gpuBytes } = model.info;
      await model.dispose();
      return { gpuBytes, fit };
    }, generates);
  const seen = [];
  for (let at = 0; at < 20; at += 1) seen.push({ ...(await round(at < 2 || at > 17)), process: await gpuProcess() });
  const { gpuBytes, fit } = seen[0];
  check(seen.every((other) => other.gpuBytes === gpuBytes) && gpuBytes > 1e6, JSON.stringify(seen));
  check(fit.fits && fit.weights > 0 && fit.total >= fit.weights + fit.kv, JSON.stringify(fit));
  // The first rounds fill the process's caches of compiled shaders; a leak would add what a round takes, 18 times.
  const grown = seen[19].process - seen[1].process;
  console.log(`      GPU process after 2 and 20 rounds: ${(seen[1].process / 1e6).toFixed(0)} and ${(seen[19].process / 1e6).toFixed(0)} MB`);
  check(grown < 40e6, `the GPU process grew by ${grown} bytes in 18 rounds`);
  await close();
});

test("a lost device is set up anew, and its user is told", async () => {
  const { page, close } = await openPage();
  const seen = await page.evaluate(async () => {
    const { load } = await import("/dist/index.js");
    const model = await load("tiny");
    const told = [];
    model.onRecovered((message) => told.push(message));
    const examples = [{ prompt: "?2*x=", completion: "x+x" }];
    for await (const _ of model.train(examples, { steps: 3, learningRate: 5e-3 }));
    const text = async () => {
      let text = "";
      for await (const chunk of model.generate("?2*x=", { temperature: 0, maxTokens: 8 })) text += chunk.text;
      return text;
    };
    const before = await text();
    await model.loseDevice();
    const after = await text();
    await model.dispose();
    return { told, before, after };
  });
  check(seen.told.length === 1 && seen.before === seen.after, JSON.stringify(seen));
  await close();
});
