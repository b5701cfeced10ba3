// The demo page, used as a visitor would: by its own buttons, in a real browser, on the embedded model.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test } from "./harness.mjs";
import { openDemo } from "./page.mjs";
import { serve } from "./server.mjs";

const SMALL = "prompts_per_step=4\ngroup_size=4\nvariants.per_node=2\nevaluation.samples=1\nevaluation.every=1\ncheckpoint_every=1";

/** Opens the page, and fails at the end if it had errors that nobody expected. */
function visit(options, body) {
  return async () => {
    const demo = await openDemo(options);
    try {
      await body(demo, demo.page);
      assert.deepEqual(demo.errors.filter((text) => !demo.expected?.test(text)), []);
    } finally {
      await demo.close();
    }
  };
}

async function fillLadder(page, steps, run = "test") {
  await page.locator("#ladder-problems").fill("x*cos(2*x)  [level 6]\n(x+3)*exp(2*x)  [level 7]");
  await page.locator("summary", { hasText: "Held-out" }).click();
  await page.locator("#ladder-heldout").fill("3*x^4\n2*sin(3*x)");
  await page.locator("#ladder-settings").fill(SMALL);
  await page.locator("#ladder-run").fill(run);
  await page.locator("#ladder-steps").fill(String(steps));
}

const line = (page) => page.locator("#panel-ladder .progress-line");
const waitFor = (locator, text, timeout = 180_000) => locator.filter({ hasText: text }).first().waitFor({ timeout });

async function saved(page, button) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(button).click()]);
  return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
}

/** Supervised steps are below the lessons. */
async function openTeach(demo) {
  await demo.tab("Learn");
  await demo.page.locator("#learn-more > summary").click();
}

test(
  "one LADDER round: curves, tree with formulas, verdicts, before and after, adapter and report",
  visit({}, async (demo, page) => {
    await demo.loadTiny();
    await demo.tab("LADDER");
    await fillLadder(page, 1);
    await page.locator("#ladder-start").click();
    await waitFor(line(page), "Done.");
    const panel = page.locator("#panel-ladder");
    assert.match(await panel.locator(".compare").innerText(), /\d+ %[\s\S]*\d+ %/);
    assert.equal(await panel.locator(".root").count(), 2);
    assert.ok((await panel.locator(".node .katex").count()) >= 1, "formulas in the tree");
    assert.match(await panel.locator(".node").first().getAttribute("aria-label"), /root: .*(solved in|not tried)/);
    assert.ok((await panel.locator(".sample .badge").count()) > 0 && (await panel.locator(".sample .reason").first().innerText()).length > 5);
    assert.equal(await panel.locator(".chart canvas").count(), 4);
    const adapter = await saved(page, "#ladder-adapter");
    assert.equal(adapter.bytes.readUInt32LE(0), 0x04034b50);
    for (const name of ["adapter_config.json", "adapter_model.safetensors"]) assert.ok(adapter.bytes.includes(name), name);
    const report = await saved(page, "#ladder-report");
    assert.match(report.bytes.toString(), /<html/i);
    // The run is let go of when it ends: it can be deleted, and another of its name takes nothing of it away.
    await page.locator("#panel-ladder .stored li", { hasText: "test" }).waitFor();
    await page.getByRole("button", { name: "Delete test" }).click();
    await page.locator("#panel-ladder .stored").waitFor({ state: "hidden", timeout: 10_000 });
    assert.equal(await page.locator("#panel-ladder .alert").isHidden(), true);
  }),
);

test(
  "the one button for newcomers starts the run; pause, resume and stop do what they say",
  visit({}, async (demo, page) => {
    await page.locator("#watch").click();
    await page.locator("#panel-ladder .node").first().waitFor({ timeout: 120_000 });
    assert.equal(await page.getByRole("tab", { name: "LADDER" }).getAttribute("aria-selected"), "true");
    await page.locator("#ladder-pause").click();
    await waitFor(line(page), "Paused.");
    await page.locator("#ladder-pause", { hasText: "Resume" }).click();
    await page.locator("#ladder-pause", { hasText: "Pause" }).waitFor();
    await page.locator("#ladder-stop").click();
    await waitFor(line(page), "Stopped.");
    assert.ok(await page.locator("#ladder-start").isEnabled());
  }),
);

test(
  "one typed problem until the answer, with votes and the verifier's verdict",
  visit({}, async (demo, page) => {
    await demo.loadTiny();
    await demo.tab("TTRL");
    await page.locator("#ttrl-problem").fill("x*cos(2*x)");
    assert.equal(await page.locator(".preview .katex").count(), 1);
    await page.locator("#ttrl-steps").fill("1");
    await page.locator("#ttrl-votes").fill("8");
    await page.locator("#ttrl-start").click();
    const answer = page.locator("#ttrl-answer");
    await answer.waitFor({ timeout: 180_000 });
    assert.match(await answer.innerText(), /Votes after 1 step/);
    assert.ok((await answer.locator(".votes li").count()) > 0);
    assert.ok(["correct", "wrong"].includes(await answer.locator(".badge").innerText()));
  }),
);

test(
  "a lesson of pairs is learnt, asked, accepted, corrected, seen on the board and taken back, over a reload and on a phone",
  visit({ viewport: { width: 400, height: 800 } }, async (demo, page) => {
    await demo.loadTiny();
    await demo.tab("Learn");
    const facts = Array.from({ length: 4 }, (_, i) => [`${482 + 7 * i}?`, String(617 + 31 * i * i)]);
    await page.locator("#learn-text").fill(facts.map((fact) => fact.join("\t")).join("\n"));
    await page.getByText("4 questions with answers.").waitFor();
    await page.locator("#learn-start").click();
    await page.locator("#learn-recall li").first().waitFor({ timeout: 400_000 });
    await page.locator("#learn-accept").waitFor({ timeout: 400_000 });
    assert.ok((await page.locator("#learn-gate li").count()) >= 2);
    assert.equal(await page.locator("#learn-recall .right").count(), 4);
    await page.locator("#learn-question").fill(facts[1][0]);
    await page.locator("#learn-ask").click();
    await waitFor(page.locator("#learn-answer"), facts[1][1]);
    await page.locator("#learn-accept").click();
    await waitFor(page.locator("#learn-lessons li"), /known/);
    const download = page.waitForEvent("download");
    await page.locator("#learn-export").click();
    assert.equal((await download).suggestedFilename(), "notes.zip");
    await page.reload();
    await demo.tab("Model");
    await demo.loadTiny();
    await demo.tab("Learn");
    await waitFor(page.locator("#learn-lessons li"), /known/);
    await page.locator("#learn-question").fill(facts[2][0]);
    await page.locator("#learn-ask").click();
    await waitFor(page.locator("#learn-answer"), facts[2][1]);
    // One answer should have been another.
    await page.locator("#learn-better").fill("555");
    await page.locator("#learn-wrong").click();
    await page.getByText("1 answer is judged.").waitFor();
    await page.locator("#learn-judged").click();
    await page.locator("#learn-accept").waitFor({ timeout: 400_000 });
    await page.locator("#learn-accept").click();
    await waitFor(page.locator("#learn-lessons li").nth(1), /known/);
    await page.locator("#learn-ask").click();
    await waitFor(page.locator("#learn-answer"), "555");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await page.locator("#learn-lessons .take-back").first().click();
    await waitFor(page.locator("#learn-lessons li"), /taken back/);
    await page.locator("#learn-ask").click();
    await demo.idle();
    assert.notEqual(await page.locator("#learn-answer").innerText(), facts[2][1]);
    assert.deepEqual(demo.errors, []);
  }),
  { seconds: 900 },
);

test(
  "taught by questions and answers, then both models side by side in the chat",
  visit({}, async (demo, page) => {
    await demo.loadTiny();
    await openTeach(demo);
    await page.locator("#teach-text").fill("Q: ?x^4=\nA: 7*x*x\n\nQ: ?x^4=\nA: 7*x*x");
    assert.equal(await page.locator("#panel-teach").getByText("2 questions with answers.").count(), 1);
    await page.locator("#teach-steps").fill("40");
    await page.getByText("How to learn").click();
    await page.getByLabel("Learning rate").fill("0.01");
    await page.locator("#teach-start").click();
    await page.locator("#teach-try").waitFor({ timeout: 180_000 });
    const [, first, last] = /loss (\d+\.\d+) → (\d+\.\d+)/.exec(await page.locator("#panel-teach .progress-line").innerText());
    assert.ok(Number(last) < Number(first) / 2, `loss from ${first} to ${last}`);
    await page.locator("#teach-try").click();
    await page.getByLabel("Temperature").fill("0");
    await page.getByLabel("Your message").fill("x^4");
    await page.getByLabel("Your message").press("Enter");
    await waitFor(page.locator(".answer h4").nth(1), "tokens/s");
    const [base, adapted] = await page.locator(".answer .said").allInnerTexts();
    assert.equal(base, "x^5/5");
    assert.equal(adapted, "7*x*x");
    // Asked again, each of the two has all but the last token in its cache.
    await page.getByLabel("Your message").fill("x^4");
    await page.getByLabel("Your message").press("Enter");
    await waitFor(page.locator(".answer h4").nth(3), "4 of 5 prompt tokens known");
    assert.match(await page.locator(".answer h4").nth(2).innerText(), /4 of 5 prompt tokens known/);
    assert.deepEqual((await page.locator(".answer .said").allInnerTexts()).slice(2), [base, adapted]);
  }),
);

test(
  "a run whose tab is closed goes on in the next one",
  visit({}, async (demo, page) => {
    await demo.loadTiny();
    await demo.tab("LADDER");
    await fillLadder(page, 4, "cut-off");
    await page.locator("#ladder-start").click();
    // A step is told before it is kept: at the second one the first is kept for certain.
    await waitFor(line(page), /Step [23] of 4/);
    await page.close();
    const next = await openDemo({ context: demo.context, url: demo.url });
    await next.loadTiny();
    await next.tab("LADDER");
    const entry = next.page.locator(".stored li", { hasText: "cut-off" });
    assert.match(await entry.innerText(), /step [123] of 4/);
    await next.page.getByRole("button", { name: "Go on with cut-off" }).click();
    // What it told before is there again before anything new can be: tree, answers, measurement, curves.
    const panel = next.page.locator("#panel-ladder");
    await panel.locator(".node").first().waitFor({ timeout: 5000 });
    assert.equal(await panel.locator(".root").count(), 2);
    assert.ok((await panel.locator(".sample .badge").count()) > 0);
    assert.match(await panel.locator(".compare").innerText(), /\d+ %/);
    await waitFor(line(next.page), "Done.");
    const drawn = await panel.locator(".chart").first().getAttribute("data-points");
    assert.equal(drawn, "4");
    await waitFor(entry, /step 4 of 4.*finished/);
    // What a finished run has learned is had again in a later visit, with its picture.
    await next.page.close();
    const later = await openDemo({ context: demo.context, url: demo.url });
    await later.loadTiny();
    await later.tab("LADDER");
    await later.page.getByRole("button", { name: "Use again cut-off" }).click();
    await waitFor(line(later.page), "Done.");
    assert.equal(await later.page.locator("#panel-ladder .chart").first().getAttribute("data-points"), "4");
    const adapter = await saved(later.page, "#ladder-adapter");
    assert.ok(adapter.bytes.includes("adapter_model.safetensors"));
    assert.deepEqual(later.errors, []);
    assert.deepEqual(next.errors, []);
  }),
);

test(
  "before a download: what it takes, what fits, and the choice; what is kept loads at once",
  visit({}, async (demo, page) => {
    demo.expected = /404/;
    const asked = [];
    const folder = fileURLToPath(new URL("../../models/", import.meta.url));
    const host = await serve(folder, { "Access-Control-Allow-Origin": "*" }, (path, body) => {
      asked.push(path);
      return body;
    });
    const weights = () => asked.filter((path) => path.endsWith("/model.safetensors")).length;
    const card = page.locator("#preflight");
    const load = async () => {
      await page.getByLabel("A model on the net").fill(`${host.url}/tiny/`);
      await page.locator("#fetch").click();
    };
    await load();
    await card.waitFor();
    assert.match(await card.innerText(), /Download\s+1\.\d MB[\s\S]*Nothing speaks against training: it takes [\d.]+ MB[\s\S]*how much memory it has is not known/);
    const total = /it takes ([\d.]+) MB/;
    const small = Number(total.exec(await card.innerText())[1]);
    await card.getByLabel("Sequences at once").fill("64");
    await card.getByLabel("Sequences at once").press("Tab");
    await page.waitForFunction(([small]) => Number(/it takes ([\d.]+) MB/.exec(document.querySelector("#preflight").innerText)?.[1]) > small, [small]);
    await page.locator("#preflight-not").click();
    assert.equal(await card.isHidden(), true);
    assert.match(await page.locator("#status").innerText(), /No model loaded/);
    const before = weights();
    await load();
    await page.locator("#preflight-go").click();
    await waitFor(page.locator("#status"), "tiny on");
    assert.ok(weights() > before);
    const after = asked.length;
    await load();
    await page.locator("#preflight").waitFor({ state: "hidden" });
    await waitFor(page.locator("#status"), "loading a model", 5000).catch(() => undefined);
    await waitFor(page.locator("#status"), "tiny on");
    assert.equal(asked.length, after, "what is kept is loaded without a question to the net");
    await host.close();
  }),
);

test(
  "a lesson and the work on one problem go on after their tab was closed, and pause",
  visit({}, async (demo, page) => {
    await demo.loadTiny();
    await demo.tab("TTRL");
    await page.locator("#ttrl-problem").fill("x*cos(2*x)");
    await page.locator("#ttrl-steps").fill("24");
    await page.locator("#ttrl-votes").fill("8");
    await page.locator("#ttrl-start").click();
    // Words about steps change at most once a second; the curves tell of each.
    const steps = (count) => page.waitForFunction((count) => Number(document.querySelector("#panel-ttrl .chart").dataset.points) >= count, count, { timeout: 60_000 });
    await steps(1);
    await page.locator("#ttrl-pause").click();
    await waitFor(page.locator("#panel-ttrl .progress-line"), "Paused.", 20_000);
    const paused = Number(await page.locator("#panel-ttrl .chart").first().getAttribute("data-points"));
    await page.locator("#ttrl-pause", { hasText: "Resume" }).click();
    await steps(paused + 2);
    await page.close();
    let next = await openDemo({ context: demo.context, url: demo.url });
    await next.loadTiny();
    await next.tab("TTRL");
    assert.match(await next.page.locator("#panel-ttrl .stored li").innerText(), /x\*cos\(2\*x\), tiny, step \d+ of 24/);
    await next.page.getByRole("button", { name: "Go on with ttrl" }).click();
    await next.page.locator("#panel-ttrl .node").first().waitFor({ timeout: 5000 });
    await next.page.locator("#ttrl-answer").waitFor({ timeout: 180_000 });
    assert.match(await next.page.locator("#ttrl-answer").innerText(), /Votes after 24 steps/);
    assert.equal(await next.page.locator("#ttrl-problem").inputValue(), "x*cos(2*x)");
    await next.page.locator("#panel-ttrl .stored").waitFor({ state: "hidden" });
    await openTeach(next);
    await next.page.locator("#teach-text").fill("Q: ?x^4=\nA: 7*x*x\n\nQ: ?x^5=\nA: 7*x*x");
    await next.page.locator("#teach-steps").fill("30");
    await next.page.locator("#teach-start").click();
    await waitFor(next.page.locator("#panel-teach .progress-line"), /Step (6|7|8|9|1\d) of 30/, 60_000);
    await next.page.close();
    assert.deepEqual(next.errors, []);
    next = await openDemo({ context: demo.context, url: demo.url });
    await next.loadTiny();
    await openTeach(next);
    assert.match(await next.page.locator("#panel-teach .stored li").innerText(), /lesson\s*tiny, step (5|10|15) of 30/);
    await next.page.getByRole("button", { name: "Go on with lesson" }).click();
    const lesson = next.page.locator("#panel-teach .progress-line");
    await waitFor(lesson, /Learned in/);
    await waitFor(next.page.locator("#panel-teach .stored li"), /step 30 of 30.*finished/);
    await next.page.getByRole("button", { name: "Use again lesson" }).click();
    await next.page.locator("#teach-try").waitFor({ timeout: 20_000 });
    await waitFor(next.page.locator("#panel-teach .chart .words"), /\d/);
    assert.deepEqual(next.errors, []);
  }),
);

const KEEP_DEVICES =
  "const ask = GPUAdapter.prototype.requestDevice; self.devices = [];" +
  "GPUAdapter.prototype.requestDevice = async function (...wish) { const device = await ask.apply(this, wish); self.devices.push(device); return device; };\n";

test(
  "a device that is lost in mid-run is set up anew, the run ends, and the visitor is told",
  visit({ change: (path, body) => (/worker-[^/]*\.js$/.test(path) ? Buffer.concat([Buffer.from(KEEP_DEVICES), body]) : body) }, async (demo, page) => {
    await demo.loadTiny();
    await demo.tab("LADDER");
    await fillLadder(page, 3, "lost");
    await page.locator("#ladder-start").click();
    await waitFor(line(page), "Step 1 of 3");
    let destroyed = 0;
    for (const worker of page.workers()) {
      destroyed += await worker.evaluate(() => (self.devices ?? []).splice(0).map((device) => device.destroy()).length);
    }
    assert.equal(destroyed, 1);
    await waitFor(line(page), "Done.");
    assert.match(await page.locator("#status").innerText(), /tiny on .* · .*(GPU|device)/i);
  }),
);

test(
  "hostile files are refused with a reason, and the page goes on",
  visit({}, async (demo, page) => {
    const alert = page.locator("#panel-model .alert");
    const header = (tensors, pairs) => Buffer.concat([Buffer.from("GGUF"), Buffer.from(Uint32Array.of(3).buffer), Buffer.from(BigUint64Array.of(tensors, pairs).buffer)]);
    const long = Buffer.from(BigUint64Array.of(2n ** 62n).buffer);
    const files = [header(2n ** 60n, 1n), header(1n, 2n ** 63n), Buffer.concat([header(0n, 1n), long]), Buffer.from("GGUF"), Buffer.from("<script>alert(1)</script>"), Buffer.alloc(0)];
    for (const [index, buffer] of files.entries()) {
      await page.locator(".drop input").setInputFiles({ name: `bad-${index}.gguf`, mimeType: "", buffer });
      await alert.waitFor();
      assert.match(await alert.innerText(), new RegExp(`bad-${index}\\.gguf`), `file ${index}`);
      assert.ok((await alert.locator("p").count()) === 2, "a hint");
    }
    await demo.loadTiny();
    assert.equal(await alert.isHidden(), true);
  }),
);

test(
  "a model that writes tags is shown as text",
  visit({}, async (demo, page) => {
    const tag = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>';
    const folder = new URL("../../models/tiny/", import.meta.url);
    const names = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
    const files = await Promise.all(
      names.map(async (name) => {
        const bytes = await readFile(new URL(name, folder));
        // The token of products becomes the attack; the prompt does without it.
        const buffer = name === "tokenizer.json" ? Buffer.from(renamed(bytes.toString(), "*", tag)) : bytes;
        return { name, mimeType: "", buffer };
      }),
    );
    await page.locator(".drop input").setInputFiles(files);
    await page.locator("#panel-model .loaded .facts").waitFor();
    await demo.tab("Chat");
    await page.getByLabel("Temperature").fill("0");
    await page.getByLabel("Your message").fill("?2=");
    await page.getByLabel("Your message").press("Enter");
    await waitFor(page.locator(".answer h4").nth(1), "tokens/s");
    const said = await page.locator(".answer .said").first().innerText();
    assert.ok(said.includes(tag), said);
    assert.equal(await page.locator("img, main script").count(), 0);
    assert.equal(await page.evaluate(() => window.hit), undefined);
  }),
);

/** A tokenizer whose token `from` is spelled `to`. */
function renamed(text, from, to) {
  const tokenizer = JSON.parse(text);
  tokenizer.model.vocab = Object.fromEntries(Object.entries(tokenizer.model.vocab).map(([token, id]) => [token === from ? to : token, id]));
  return JSON.stringify(tokenizer);
}

/** The quota that a test sets bounds what is written, and not what the browser says that there is. */
const SMALL_STORE = "StorageManager.prototype.estimate = async () => ({ quota: 1_000_000, usage: 0 });\n";

test(
  "offline, and a store that is full, say what to do",
  visit({ change: (path, body) => (/worker-[^/]*\.js$/.test(path) ? Buffer.concat([Buffer.from(SMALL_STORE), body]) : body) }, async (demo, page) => {
    demo.expected = /net::ERR_INTERNET_DISCONNECTED|Failed to load resource/;
    const host = await serve(fileURLToPath(new URL("../../models/", import.meta.url)), { "Access-Control-Allow-Origin": "*" });
    const alert = page.locator("#panel-model .alert");
    const load = async () => {
      await page.getByLabel("A model on the net").fill(`${host.url}/tiny/`);
      await page.locator("#fetch").click();
    };
    // The program itself is in the browser's cache from then on.
    await demo.loadTiny();
    await demo.context.setOffline(true);
    await load();
    await waitFor(alert, /this device is offline/);
    await demo.context.setOffline(false);
    const protocol = await demo.context.newCDPSession(page);
    await protocol.send("Storage.overrideQuotaForOrigin", { origin: demo.url, quotaSize: 1_000_000 });
    await load();
    // What does not fit is said before the download, and the visitor may try nonetheless.
    await waitFor(page.locator("#preflight .facts"), /too little to keep it/, 20_000);
    await page.locator("#preflight-go").click();
    await waitFor(alert, /needs .* more/, 20_000);
    assert.match(await alert.innerText(), /delete models/);
    await host.close();
  }),
);

test(
  "without WebGPU the page says what is missing and how to get it",
  visit({ noGpu: true, before: () => Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined }) }, async (_, page) => {
    const panel = page.getByRole("alert");
    assert.match(await panel.innerText(), /no WebGPU[\s\S]*Chrome \(this one\)[\s\S]*Firefox[\s\S]*Safari/);
    assert.equal(await page.getByRole("tab").count(), 0);
  }),
);

test(
  "by keyboard alone: skip link, tabs by arrows, loading, a question in the chat",
  visit({}, async (demo, page) => {
    const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent);
    const tabTo = async (wanted) => {
      for (let presses = 0; presses < 40; presses += 1) {
        if ((await focused()) === wanted) return;
        await page.keyboard.press("Tab");
      }
      assert.fail(`${wanted} is not reached by the Tab key`);
    };
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the content");
    await tabTo("tab-model");
    for (const id of ["tab-chat", "tab-ladder", "tab-ttrl", "tab-learn", "tab-model"]) {
      await page.keyboard.press("ArrowRight");
      assert.equal(await focused(), id);
      assert.equal(await page.locator(`#${id}`).getAttribute("aria-selected"), "true");
      assert.ok(await page.locator(`#panel-${id.slice(4)}`).isVisible());
    }
    await tabTo("load-tiny");
    await page.keyboard.press("Enter");
    await page.locator("#status", { hasText: "tiny on" }).waitFor({ timeout: 60_000 });
    await page.locator("#tab-model").focus();
    await page.keyboard.press("ArrowRight");
    const box = await page.getByLabel("Your message").getAttribute("id");
    await tabTo(box);
    await page.keyboard.type("x^2");
    await page.keyboard.press("Enter");
    await waitFor(page.locator(".answer h4").nth(1), "tokens/s");
    assert.equal(await focused(), box);
  }),
);

test(
  "names, landmarks, contrast in both themes, and no sideways scrolling on a phone",
  visit({}, async (demo, page) => {
    await demo.loadTiny();
    for (const name of ["Model", "Chat", "LADDER", "TTRL", "Learn"]) {
      await demo.tab(name);
      // One after the other, since some are in others.
      const closed = page.locator("[role=tabpanel]:not([hidden]) details:not([open]) > summary");
      while ((await closed.count()) > 0) await closed.first().click();
      assert.deepEqual(await page.evaluate(flaws), [], name);
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await page.evaluate(faint), [], `${name}, ${colorScheme}`);
      }
      await page.setViewportSize({ width: 360, height: 740 });
      await page.waitForTimeout(300);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than a phone`);
      await page.setViewportSize({ width: 1200, height: 900 });
    }
  }),
);

/** Controls without a name, ids that occur twice, and references that lead nowhere. */
function flaws() {
  const found = [];
  for (const element of document.querySelectorAll("main input:not([hidden]), main select, main textarea, main button, main progress, main meter, header button")) {
    const label = element.labels?.[0]?.textContent || element.getAttribute("aria-label") || (element.tagName === "BUTTON" && element.textContent);
    if (!label?.trim()) found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`twice: ${id}`);
  for (const attribute of ["aria-controls", "aria-labelledby", "aria-describedby", "for"]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      if (!document.getElementById(element.getAttribute(attribute))) found.push(`${attribute} leads nowhere: ${element.outerHTML.slice(0, 80)}`);
    }
  }
  if (document.querySelectorAll("main").length !== 1 || document.querySelectorAll("h1").length !== 1) found.push("not one main and one h1");
  if (!document.querySelector("[role=status]") || document.documentElement.lang !== "en") found.push("no live region, or no language");
  return found;
}

/** Visible texts whose contrast is below 4.5 to 1. Controls that are switched off are exempt. */
function faint() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const rgb = (color, under) => {
    canvas.fillStyle = under;
    canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (parts) => parts.map((part) => (part / 255 <= 0.04 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4)).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.closest(":disabled, .for-readers, .skip, noscript, option")) continue;
    let back = element;
    while (back && getComputedStyle(back).backgroundColor === "rgba(0, 0, 0, 0)") back = back.parentElement;
    const under = back ? getComputedStyle(back).backgroundColor : "white";
    const [a, b] = [light(rgb(getComputedStyle(element).color, under)), light(rgb(under, "white"))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)}: ${walker.currentNode.textContent.slice(0, 40)}`);
  }
  return found;
}

test(
  "the policy: no connection of the page to others, no inline script",
  visit({}, async (demo, page) => {
    demo.expected = /Content Security Policy/;
    const host = await serve((_, response) => response.writeHead(200, { "Access-Control-Allow-Origin": "*" }).end("x"));
    const reached = await page.evaluate((url) => fetch(url).then(() => true, () => false), host.url);
    assert.equal(reached, false);
    const ran = await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = 1";
      document.body.append(script);
      return window.ran;
    });
    assert.equal(ran, undefined);
    await host.close();
  }),
);
