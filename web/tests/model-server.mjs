// A server of model files that misbehaves as its state says, and a page whose worker loads from it by the functions of `src/files`.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { build } from "esbuild";
import { openBrowser } from "./harness.mjs";
import { serve } from "./server.mjs";

export const SHA = "0123456789abcdef0123456789abcdef01234567";
export const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");
export const content = (size, seed) => Buffer.from(Uint32Array.from({ length: size / 4 }, (_, i) => Math.imul(i + seed, 2654435761)).buffer);

const bundled = build({
  entryPoints: [`${import.meta.dirname}/files.worker.ts`],
  bundle: true,
  format: "esm",
  write: false,
  target: "es2022",
}).then((result) => result.outputFiles[0].text);

/** A server of model files. `state` says how it behaves and keeps what it was asked. */
export function models(files, state = {}) {
  state.seen = [];
  const handler = (request, response) => {
    const cors = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*" };
    if (state.exposed !== false) cors["Access-Control-Expose-Headers"] = "ETag, Content-Range, X-Linked-ETag";
    const path = new URL(request.url, "http://x").pathname;
    if (request.method === "OPTIONS") return response.writeHead(204, cors).end();
    state.seen.push({ path, range: request.headers.range, token: request.headers.authorization });
    if (state.status) return response.writeHead(state.status, cors).end();
    if (path === "/api/models/o/m/revision/main") {
      const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
        rfilename,
        size: bytes.length,
        blobId: createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex"),
        ...(/safetensors$/.test(rfilename) ? { lfs: { size: bytes.length, sha256: state.digest ?? digest(bytes) } } : {}),
      }));
      response.writeHead(200, { ...cors, "Content-Type": "application/json" });
      return response.end(JSON.stringify({ sha: SHA, siblings }));
    }
    const name = path.replace(`/o/m/resolve/${SHA}/`, "").replace(/^\//, "");
    // A test's own answer to what it cares about.
    if (state.answer?.({ request, response, cors, name, body: files[name] }) === true) return undefined;
    const body = files[name];
    if (!body) return response.writeHead(404, cors).end();
    const from = state.noRanges ? undefined : /^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1];
    const headers = { ...cors, ETag: `"${state.etag ?? digest(body)}"`, "Content-Length": body.length - Number(from ?? 0) };
    if (from !== undefined) headers["Content-Range"] = `bytes ${from}-${body.length - 1}/${body.length}`;
    response.writeHead(from === undefined ? 200 : 206, headers);
    const rest = body.subarray(Number(from ?? 0));
    if (state.breakAfter !== undefined && rest.length > state.breakAfter && state.breaks !== 0) {
      if (state.breaks !== undefined) state.breaks -= 1;
      response.write(rest.subarray(0, state.breakAfter));
      setTimeout(() => response.destroy(), 60);
    } else if (state.slow) {
      trickle(response, rest);
    } else {
      response.end(rest);
    }
  };
  return { handler, state };
}

function trickle(response, rest, at = 0) {
  if (at >= rest.length || response.destroyed) return response.end();
  response.write(rest.subarray(at, at + 100_000));
  setTimeout(() => trickle(response, rest, at + 100_000), 30);
}

/** Runs `body` with a page, a model server and a function that calls the worker. */
export function scene(files, state, body) {
  return async () => {
    const browser = await openBrowser();
    const worker = await bundled;
    const page = await serve((request, response) => {
      const script = request.url === "/worker.js";
      response.writeHead(200, { "Content-Type": script ? "text/javascript" : "text/html" });
      response.end(script ? worker : "<!doctype html><title>files</title>");
    });
    const server = models(files, state);
    const host = await serve(server.handler);
    const context = await browser.newContext();
    try {
      const tab = await openTab(context, page.url);
      await body({ call: tab.call, tab, url: host.url, state: server.state, context, page, host });
    } finally {
      await context.close();
      await host.close();
      await page.close();
    }
  };
}

export async function openTab(context, url) {
  const tab = await context.newPage();
  await tab.goto(url);
  await tab.evaluate(() => {
    const worker = new Worker("/worker.js", { type: "module" });
    const waiting = new Map();
    worker.onmessage = ({ data }) => waiting.get(data.id)(data);
    window.call = (call, source, options) =>
      new Promise((resolve) => {
        const id = waiting.size;
        waiting.set(id, resolve);
        worker.postMessage({ id, call, source, options });
      });
  });
  tab.call = async (...values) => {
    const { value, error } = await tab.evaluate((list) => window.call(...list), values);
    if (error) throw Object.assign(new Error(error.message), error);
    return value;
  };
  return tab;
}

export const fails = (code, message) => (error) => {
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  assert.ok(error.hint.length > 10);
  return true;
};
