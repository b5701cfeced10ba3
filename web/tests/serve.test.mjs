// What `make web` serves, and the files that a visitor brings: chosen in the dialog, dropped as a folder.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBrowser, root, test } from "./harness.mjs";
import { openDemo } from "./page.mjs";

test("the page as `make web` serves it: its policy in the header, its styles applied, the model loaded", async () => {
  const server = spawn(process.execPath, ["node_modules/vite/bin/vite.js", "preview", "--config", "vite.config.ts", "--port", "0", "--host", "127.0.0.1"], {
    cwd: join(root, "web"),
    env: { ...process.env, NO_COLOR: "1" },
  });
  try {
    const url = await new Promise((resolve, reject) => {
      let said = "";
      const hear = (text) => {
        said += text;
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
        if (found) resolve(found[0]);
      };
      server.stdout.on("data", hear);
      server.stderr.on("data", hear);
      server.on("exit", () => reject(new Error(said)));
    });
    const context = await (await openBrowser()).newContext();
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    const answer = await page.goto(`${url}/`);
    assert.match(answer.headers()["content-security-policy"], /default-src 'none'/);
    await page.locator("#load-tiny").click();
    await page.locator("#status", { hasText: "tiny on" }).waitFor({ timeout: 60_000 });
    assert.match(await page.evaluate(() => getComputedStyle(document.body).fontFamily), /system-ui|sans/);
    assert.deepEqual(errors, []);
    await context.close();
  } finally {
    server.kill();
  }
});

/** A folder with the tiny model, and beside it what folders have besides. */
function modelFolder() {
  const home = mkdtempSync(join(tmpdir(), "stepladder-drop-"));
  const folder = join(home, "my-model");
  cpSync(join(root, "models/tiny"), folder, { recursive: true });
  writeFileSync(join(folder, "notes.txt"), "not a part of the model");
  return { home, folder, remove: () => rmSync(home, { recursive: true, force: true }) };
}

/** Drops files or folders of this machine on an element, as the system's file manager does. */
async function drop(page, selector, files) {
  const target = page.locator(selector);
  await target.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await target.boundingBox();
  const session = await page.context().newCDPSession(page);
  const at = { x: x + width / 2, y: y + height / 2, data: { items: [], files, dragOperationsMask: 1 } };
  for (const type of ["dragEnter", "dragOver", "drop"]) await session.send("Input.dispatchDragEvent", { type, ...at });
}

test("a model's folder dropped on the page, and its files chosen in the dialog", async () => {
  const { folder, remove } = modelFolder();
  const demo = await openDemo({});
  const { page } = demo;
  try {
    const name = page.locator("#panel-model .facts dd").first();
    await drop(page, ".drop", [folder]);
    await page.locator("#status", { hasText: "my-model on" }).waitFor({ timeout: 60_000 });
    assert.equal(await name.innerText(), "my-model");
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.locator("#choose-files").click()]);
    assert.equal(chooser.isMultiple(), true);
    await chooser.setFiles(["config.json", "tokenizer.json", "model.safetensors"].map((file) => join(folder, file)));
    await page.locator("#status", { hasText: "my model on" }).waitFor({ timeout: 60_000 });
    assert.deepEqual(demo.errors, []);
  } finally {
    await demo.close();
    remove();
  }
});

const PROBLEMS = '{"problem": "x*exp(3*x)", "level": 6}\n{"problem": "x^2*sin(x)"}';

test("problems dropped on the form become its problems; what is none says which line", async () => {
  const home = mkdtempSync(join(tmpdir(), "stepladder-problems-"));
  const demo = await openDemo({});
  const { page } = demo;
  try {
    writeFileSync(join(home, "problems.jsonl"), `${PROBLEMS}\n`);
    writeFileSync(join(home, "broken.jsonl"), '{"problem": "x*exp(3*x)"}\n{"problem": 3}\n');
    await demo.tab("LADDER");
    const problems = page.locator("#ladder-problems");
    await drop(page, "#ladder-problems", [join(home, "problems.jsonl")]);
    await page.waitForFunction(() => document.querySelector("#ladder-problems").value.includes("x^2*sin(x)"));
    assert.equal(await problems.inputValue(), PROBLEMS);
    await drop(page, "#ladder-problems", [join(home, "broken.jsonl")]);
    await page.locator("#panel-ladder .alert", { hasText: "line 2" }).waitFor();
    assert.equal(await problems.inputValue(), PROBLEMS);
    // A file that misses every target does not take the visitor away from the page.
    await drop(page, ".foot", [join(home, "problems.jsonl")]);
    await page.waitForTimeout(500);
    assert.equal(page.url().split("#")[0], `${demo.url}/`);
    assert.equal(await problems.inputValue(), PROBLEMS);
    assert.deepEqual(demo.errors, []);
  } finally {
    await demo.close();
    rmSync(home, { recursive: true, force: true });
  }
});
