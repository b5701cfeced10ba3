// The page of `stepladder serve`: chat, corrections, lessons, the key, against the program itself.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBrowser, root, test } from "./harness.mjs";

const program = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/stepladder");

/** Starts the program on a free port, and a page that shows it. */
async function open(args, { viewport } = {}) {
  const { STEPLADDER_API_KEY: _, ...env } = process.env;
  const child = spawn(program, ["serve", "--json", "--port", "0", ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (text) => (said += text));
  const ready = await new Promise((resolve, reject) => {
    child.stdout.once("data", (text) => resolve(JSON.parse(String(text))));
    child.on("exit", () => reject(new Error(said)));
  });
  const context = await (await openBrowser()).newContext({ viewport: viewport ?? { width: 1200, height: 900 } });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && !/status of 40[014]/.test(message.text()) && errors.push(message.text()));
  await page.goto(ready.address);
  return {
    page,
    errors,
    tab: (name) => page.getByRole("tab", { name, exact: true }).click(),
    /** Asks in the chat, and gives the turn once the answer is whole. */
    async ask(text) {
      await page.locator("#prompt").fill(text);
      await page.locator("#send").click();
      await page.locator("#send:not([disabled])").waitFor();
      return page.locator(".turn").last();
    },
    async close() {
      await context.close();
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

test("the page that the program holds is the one that is written here", () => {
  const build = spawnSync(process.execPath, ["serve/build.mjs", "--check"], { cwd: join(root, "web"), encoding: "utf8" });
  assert.equal(build.status, 0, build.stderr);
  const types = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "serve"], { cwd: join(root, "web"), encoding: "utf8" });
  assert.equal(types.status, 0, types.stdout);
});

test("a model chats, a server without a library says how to start it with one, and the page is as wide as a phone", async () => {
  const { page, errors, tab, ask, close } = await open(["-m", join(root, "tests/fixtures/models/qwen2")], { viewport: { width: 375, height: 740 } });
  try {
    await page.locator("#status", { hasText: "qwen2 on this server" }).waitFor();
    await page.getByLabel("Most tokens").fill("8");
    const turn = await ask("Hello <b>there</b>");
    assert.equal(await turn.locator(".asked").textContent(), "Hello <b>there</b>");
    assert.notEqual(await turn.locator(".said").textContent(), "");
    assert.equal(await turn.getByRole("button").count(), 0); // nobody could use what is said of it
    await ask("And now?");
    assert.equal(await page.locator(".turn").count(), 2);
    await tab("Learn");
    await page.getByText("--library notes.library").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 375);
    assert.deepEqual(errors, []);
  } finally {
    await close();
  }
});

test("what is corrected is learned, accepted, served and taken back", async () => {
  const folder = mkdtempSync(join(tmpdir(), "serve-page-"));
  const { page, errors, tab, ask, close } = await open(["-m", "tiny", "--library", join(folder, "notes.library")]);
  try {
    await page.locator("#model").selectOption("base@library");
    await page.getByLabel("Temperature").fill("0");
    await page.getByLabel("Most tokens").fill("6");
    const wrong = await ask("107?");
    assert.notEqual(await wrong.locator(".said").textContent(), "311");
    await page.getByText("it goes on with your text").waitFor();
    await wrong.getByRole("button", { name: "Correct it" }).click();
    await wrong.getByLabel("The right answer").fill("311");
    await wrong.getByRole("button", { name: "Keep the correction" }).click();
    await wrong.getByText("Noted").waitFor();
    await tab("Learn");
    await page.getByText("One answer was judged").waitFor();
    await page.locator("#lesson-name").fill("a number");
    await page.locator("#lesson-start").click();
    const lesson = page.locator(".lesson", { hasText: "a number" });
    await lesson.getByText("waits for you").waitFor({ timeout: 180_000 });
    await lesson.locator(".gate li").first().waitFor();
    await lesson.getByRole("button", { name: "Accept" }).click();
    await lesson.getByText("known", { exact: true }).waitFor();
    await tab("Chat");
    assert.equal(await (await ask("107?")).locator(".said").textContent(), "311");
    await tab("Learn");
    await lesson.getByRole("button", { name: "Take back" }).click();
    await lesson.getByText("taken back", { exact: true }).waitFor();
    await tab("Chat");
    assert.notEqual(await (await ask("107?")).locator(".said").textContent(), "311");
    await tab("Learn");
    await page.locator("#lesson-kind").selectOption("pairs");
    await page.locator("#lesson-text").fill("a line without an answer");
    await page.locator("#lesson-start").click();
    await page.getByRole("alert").getByText("line 1 has no answer").waitFor();
    assert.deepEqual(errors, []);
  } finally {
    await close();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("the page asks for the key", async () => {
  const folder = mkdtempSync(join(tmpdir(), "serve-page-"));
  const file = join(folder, "key");
  writeFileSync(file, "sesame-open-42\n");
  const { page, close } = await open(["-m", "tiny", "--api-key-file", file]);
  try {
    const give = async (key) => {
      await page.getByLabel("API key").fill(key);
      await page.getByRole("button", { name: "Go on" }).click();
    };
    await give("sesame-open-43");
    await page.getByRole("alert").getByText("missing or wrong").waitFor();
    await give("sesame-open-42");
    await page.locator("#status", { hasText: "tiny on this server" }).waitFor();
    assert.equal(await page.getByLabel("API key").count(), 0);
  } finally {
    await close();
    rmSync(folder, { recursive: true, force: true });
  }
});
