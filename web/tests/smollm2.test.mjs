// A real model (SmolLM2-135M as a GGUF of 98 MB) by the demo page's own controls: downloaded over a connection that breaks,
// taken up again, asked, and loaded once more from the browser's store without its server.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { root, test } from "./harness.mjs";
import { openDemo } from "./page.mjs";
import { serve } from "./server.mjs";

const NAME = "smollm2.gguf";
/** PyTorch's greedy text, which the native test is held to as well. */
const { prompt, greedy: { base } } = JSON.parse(readFileSync(join(root, "tests/fixtures/smollm2.json"), "utf8"));

/**
 * The model's bytes, under another key for its chat template: the page then goes on with the prompt as it is, which is what
 * PyTorch's text is of.
 */
async function withoutTemplate() {
  const path = String(execFileSync(join(root, "scripts/models.sh"), { stdio: ["ignore", "pipe", "inherit"] })).trim();
  const bytes = await readFile(path);
  const at = bytes.indexOf("tokenizer.chat_template");
  assert.ok(at > 0, "the file has no chat template");
  bytes.write("general.hidden_template", at);
  return bytes;
}

/**
 * Serves `bytes` with ranges. Pieces with an end are the header, which the page looks at before it offers the download, whose first
 * connection is cut after half of the bytes. `seen` gets the ranges that the download asked for.
 */
function flaky(bytes, seen) {
  return (request, response) => {
    const cors = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*", "Access-Control-Expose-Headers": "ETag, Content-Range" };
    if (request.method === "OPTIONS") return response.writeHead(204, cors).end();
    const { range } = request.headers;
    const [, start, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "bytes=0-");
    const from = Number(start);
    if (last) {
      const piece = bytes.subarray(from, Number(last) + 1);
      const headers = { ...cors, ETag: '"1"', "Content-Length": piece.length, "Content-Range": `bytes ${from}-${from + piece.length - 1}/${bytes.length}` };
      return response.writeHead(206, headers).end(piece);
    }
    seen.push(range);
    const headers = { ...cors, ETag: '"1"', "Content-Length": bytes.length - from };
    if (range !== undefined) headers["Content-Range"] = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
    response.writeHead(range === undefined ? 200 : 206, headers);
    if (seen.length > 1) return response.end(bytes.subarray(from));
    // Cut once all of it has left: what then lies between here and the page may still be lost.
    response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
  };
}

/** Asks the chat for the greedy continuation of the fixture's prompt. */
async function ask(demo, tokens) {
  const { page } = demo;
  await demo.tab("Chat");
  await page.getByLabel("Side by side").uncheck();
  await page.getByLabel("Temperature").fill("0");
  await page.getByLabel("Most tokens").fill(String(tokens));
  await page.getByLabel("Your message").fill(prompt);
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".answer h4", { hasText: `${tokens} tokens` }).waitFor({ timeout: 120_000 });
  return page.locator(".answer .said").textContent();
}

const loaded = (page) => page.locator("#status", { hasText: `${NAME} on` }).waitFor({ timeout: 120_000 });

test(
  "SmolLM2 through the page: a broken download is resumed, greedy text is PyTorch's, the next load needs no network",
  async () => {
    const bytes = await withoutTemplate();
    const seen = [];
    const host = await serve(flaky(bytes, seen));
    const demo = await openDemo();
    const { page } = demo;
    const source = `${host.url}/${NAME}`;
    const began = performance.now();
    const said = (what) => console.log(`      ${what} after ${((performance.now() - began) / 1000).toFixed(1)} s`);
    try {
      await page.getByLabel("A model on the net").fill(source);
      await page.locator("#fetch").click();
      await page.locator("#preflight-go").click();
      await loaded(page);
      said("loaded");
      // Twice in all: from the start, and from where the first one broke off.
      assert.equal(seen.length, 2, `ranges asked for: ${seen}`);
      assert.equal(seen[0], undefined);
      const resumed = Number(/^bytes=(\d+)-$/.exec(seen[1])[1]);
      assert.ok(resumed > bytes.length / 4 && resumed <= bytes.length / 2, `resumed at ${resumed} of ${bytes.length}`);
      assert.equal(await ask(demo, base.tokens.length), base.text);
      said("answered");

      await host.close();
      await page.reload();
      await demo.tab("Model");
      await page.getByRole("button", { name: `Load ${source}` }).click();
      await loaded(page);
      said("loaded again");
      assert.equal(seen.length, 2, "the second load asked the server");
      const again = await ask(demo, 4);
      assert.ok(again.length > 4 && base.text.startsWith(again), again);
      said("answered again");
      // Chromium reports the connection that was cut, and nothing else is wrong.
      assert.deepEqual(demo.errors.filter((text) => !/net::ERR_/.test(text)), []);
    } finally {
      await demo.close();
      await host.close();
    }
  },
);
