// The pre-flight: from headers alone, with the numbers that the loaded model reports.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { nodeEnvironment, openPage, root, test } from "./harness.mjs";
import { serve } from "./server.mjs";

const tiny = Object.fromEntries(
  ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"].map((name) => [
    `/m/${name}`,
    readFileSync(join(root, "models/tiny", name)),
  ]),
);

/** A server of files that counts the bytes that it sent of each; `ranges: false` sends whole files, slowly, `hidden` tells no sizes. */
async function models(files, { ranges = true, hidden = false, lengths = true } = {}) {
  const sent = {};
  const server = await serve((request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    const cors = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*", ...(hidden ? {} : { "Access-Control-Expose-Headers": "Content-Range" }) };
    const body = files[path];
    if (body === undefined) return response.writeHead(404, cors).end();
    const asked = ranges ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") : undefined;
    const [from, end] = asked ? [Number(asked[1]), asked[2] ? Math.min(Number(asked[2]) + 1, body.length) : body.length] : [0, body.length];
    const headers = { ...cors, ...(lengths && { "Content-Length": end - from }) };
    if (asked) headers["Content-Range"] = `bytes ${from}-${end - 1}/${body.length}`;
    response.writeHead(asked ? 206 : 200, headers);
    if (request.method === "HEAD") return response.end();
    const send = (at) => {
      if (response.destroyed) return;
      const piece = body.subarray(at, Math.min(end, at + 65536));
      sent[path] = (sent[path] ?? 0) + piece.length;
      if (at + piece.length >= end) return response.end(piece);
      response.write(piece);
      setTimeout(send, ranges ? 0 : 20, at + piece.length);
    };
    send(from);
  });
  return { ...server, sent };
}

const WORKLOAD = { rank: 4, batch: 3, length: 96, contextLength: 128 };
const NUMBERS = ["weights", "kv", "activations", "optimizer", "total", "largestBuffer", "largestBufferAllowed", "available", "fits"];
const numbers = (fit) => Object.fromEntries(NUMBERS.map((name) => [name, fit[name]]));

/** What `fit` says of a source in a page, and then what the loaded model says of the same workload. */
function both(page, source) {
  return page.evaluate(
    async ([source, workload]) => {
      const { fit, load } = await import("/dist/index.js");
      const before = await fit(source, workload);
      performance.mark("asked");
      const { contextLength, ...rest } = workload;
      const model = await load(source, { contextLength, cache: false });
      const after = await model.fit(rest);
      const { info } = model;
      await model.dispose();
      return { before, after, info };
    },
    [source, WORKLOAD],
  );
}

test("a folder on a server: only the header of the weights is fetched, and the loaded model says the same", async () => {
  const { page, close, errors } = await openPage();
  const host = await models(tiny);
  // A name that a server hides would be an error in the console; folders are looked for by trying.
  const before = await page.evaluate(async ([source, workload]) => (await import("/dist/index.js")).fit(source, workload), [`${host.url}/m/`, WORKLOAD]);
  const header = 8 + Number(tiny["/m/model.safetensors"].readBigUInt64LE(0));
  assert.ok(host.sent["/m/model.safetensors"] <= Math.max(128 << 10, header), `${host.sent["/m/model.safetensors"]} bytes of weights`);
  assert.equal(host.sent["/m/model.safetensors"] < tiny["/m/model.safetensors"].length / 4, true);
  const seen = await both(page, `${host.url}/m/`);
  assert.deepEqual(numbers(before), numbers(seen.after));
  assert.ok(before.weights > 1e6 && before.kv > 0 && before.activations > 0 && before.optimizer > 0, JSON.stringify(before));
  assert.equal(before.total, before.weights + before.kv + before.activations + before.optimizer);
  assert.equal(before.parameters, seen.info.parameters);
  assert.equal(before.family, seen.info.family);
  assert.equal(before.contextLength, 128);
  assert.ok(before.fits && /memory/.test(before.reason), before.reason);
  assert.ok(before.download.bytes >= tiny["/m/model.safetensors"].length && before.download.kept === 0, JSON.stringify(before.download));
  assert.ok(before.download.free > 1e6 && before.available === null, JSON.stringify(before));
  assert.deepEqual(errors.filter((text) => !/404/.test(text)), []);
  await host.close();
  await close();
});

test("a GGUF of 98 MB: some megabytes of header are fetched, also where sizes are hidden or ranges unknown; a File reads no more", async () => {
  const path = String(execFileSync(join(root, "scripts/models.sh"), { stdio: ["ignore", "pipe", "inherit"] })).trim();
  const bytes = readFileSync(path);
  const { page, close, errors } = await openPage();
  const plans = [];
  for (const behaviour of [{}, { hidden: true }, { ranges: false }]) {
    const host = await models({ "/m.gguf": bytes }, behaviour);
    plans.push(await page.evaluate(async ([source, workload]) => (await import("/dist/index.js")).fit(source, workload), [`${host.url}/m.gguf`, WORKLOAD]));
    assert.ok(host.sent["/m.gguf"] < 12e6, `${JSON.stringify(behaviour)}: ${host.sent["/m.gguf"]} bytes`);
    if (!behaviour.hidden) assert.equal(plans.at(-1).download.bytes, statSync(path).size);
    await host.close();
  }
  const { name: _, ...first } = plans[0];
  assert.ok(first.weights > 90e6 && first.layers === 30, JSON.stringify(first));
  for (const { name: _, ...plan } of plans) assert.deepEqual(plan, first);
  // The visitor's own file, chosen in a page.
  await page.setContent('<input type="file">');
  await page.locator("input").setInputFiles(path);
  const own = await page.evaluate(async (workload) => (await import("/dist/index.js")).fit(document.querySelector("input").files[0], workload), WORKLOAD);
  assert.deepEqual(numbers(own), numbers(first));
  assert.equal(own.download.bytes, 0);
  assert.deepEqual(errors, []);
  await close();
  // In Node a path will do.
  const program = `
    import { fit } from "./dist/index.js";
    console.log(JSON.stringify(await fit(${JSON.stringify(path)}, ${JSON.stringify(WORKLOAD)})));
    process.exit(0);`;
  const options = { cwd: join(root, "web"), env: nodeEnvironment(), input: program, timeout: 100_000, stdio: ["pipe", "pipe", "inherit"] };
  const node = JSON.parse(String(execFileSync(process.execPath, ["--input-type=module", "-"], options)));
  for (const name of ["weights", "kv", "activations", "optimizer", "total", "largestBuffer"]) assert.equal(node[name], first[name], name);
});

test("a hub's model in parts: the index, and of each part the header; what is kept already is counted and not asked for", async () => {
  const weights = tiny["/m/model.safetensors"];
  const header = JSON.parse(weights.subarray(8, 8 + Number(weights.readBigUInt64LE(0))));
  const names = Object.keys(header).filter((name) => name !== "__metadata__").sort((a, b) => header[a].data_offsets[0] - header[b].data_offsets[0]);
  /** A safetensors file of some of the tensors. */
  const part = (names) => {
    const start = 8 + Number(weights.readBigUInt64LE(0));
    const [entries, pieces] = [{}, []];
    let at = 0;
    for (const name of names) {
      const [from, to] = header[name].data_offsets;
      entries[name] = { ...header[name], data_offsets: [at, at + to - from] };
      pieces.push(weights.subarray(start + from, start + to));
      at += to - from;
    }
    const text = Buffer.from(JSON.stringify(entries));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([length, text, ...pieces]);
  };
  const sha = "0123456789abcdef0123456789abcdef01234567";
  const parts = { "part-1.safetensors": names.slice(0, 10), "part-2.safetensors": names.slice(10) };
  const weight_map = Object.fromEntries(Object.entries(parts).flatMap(([file, list]) => list.map((name) => [name, file])));
  const files = {
    "config.json": tiny["/m/config.json"],
    "tokenizer.json": tiny["/m/tokenizer.json"],
    "model.safetensors.index.json": Buffer.from(JSON.stringify({ weight_map })),
    ...Object.fromEntries(Object.entries(parts).map(([file, list]) => [file, part(list)])),
  };
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({ rfilename, size: bytes.length }));
  const host = await models({
    "/api/models/o/m/revision/main": Buffer.from(JSON.stringify({ sha, siblings })),
    ...Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`/o/m/resolve/${sha}/${name}`, bytes])),
  });
  const { page, close } = await openPage();
  const seen = await page.evaluate(async ([endpoint, workload]) => {
    const { fit, load } = await import("/dist/index.js");
    const before = await fit("hf:o/m", { ...workload, endpoint });
    const { contextLength, ...rest } = workload;
    const model = await load("hf:o/m", { contextLength, endpoint });
    const loaded = await model.fit(rest);
    await model.dispose();
    return { before, loaded };
  }, [host.url, WORKLOAD]);
  assert.deepEqual(numbers(seen.before), numbers(seen.loaded));
  const total = siblings.reduce((sum, { size }) => sum + size, 0);
  assert.deepEqual([seen.before.download.bytes, seen.before.download.kept], [total, 0]);
  const sent = { ...host.sent };
  const after = await page.evaluate(async ([endpoint, workload]) => (await import("/dist/index.js")).fit("hf:o/m", { ...workload, endpoint }), [host.url, WORKLOAD]);
  assert.deepEqual(host.sent, sent, "a model that is kept is not asked for");
  assert.deepEqual(numbers(after), numbers(seen.before));
  assert.deepEqual([after.download.bytes, after.download.kept], [total, total]);
  // Asked alone, the parts are not fetched whole.
  const fresh = await models({
    "/api/models/o/m/revision/main": Buffer.from(JSON.stringify({ sha, siblings })),
    ...Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`/o/m/resolve/${sha}/${name}`, bytes])),
  });
  await page.evaluate(async ([endpoint, workload]) => (await import("/dist/index.js")).fit("hf:o/m", { ...workload, endpoint }), [fresh.url, WORKLOAD]);
  for (const name of Object.keys(parts)) {
    const path = `/o/m/resolve/${sha}/${name}`;
    assert.ok(fresh.sent[path] <= 128 << 10 && fresh.sent[path] < files[name].length, `${name}: ${fresh.sent[path]}`);
  }
  assert.equal(fresh.sent[`/o/m/resolve/${sha}/tokenizer.json`], undefined);
  await host.close();
  await fresh.close();
  await close();
});

test("a workload that exceeds the device says which number, and what to do; so does a source that is no model", async () => {
  const { page, close } = await openPage();
  const host = await models({ "/m.gguf": Buffer.alloc(300_000, 7) });
  const unsized = await models({ "/m.gguf": Buffer.alloc(300_000, 7) }, { ranges: false, lengths: false });
  const seen = await page.evaluate(async ([url, unsized]) => {
    const { fit } = await import("/dist/index.js");
    const caught = async (work) => {
      try {
        return await work();
      } catch ({ name, code, message, hint }) {
        return { name, code, message, hint };
      }
    };
    const abort = new AbortController();
    const aborted = caught(() => fit("tiny", { signal: abort.signal }));
    abort.abort();
    return {
      large: await fit("tiny", { batch: 100_000, length: 256, contextLength: 256, defaultLimits: true }),
      small: await fit("tiny", { batch: 1, length: 16, defaultLimits: true }),
      rank: await caught(() => fit("tiny", { rank: 0 })),
      none: await caught(() => fit(`${url}/m.gguf`)),
      unsized: await caught(() => fit(`${unsized}/m.gguf`)),
      gone: await caught(() => fit(`${url}/other.gguf`)),
      aborted: await aborted,
    };
  }, [host.url, unsized.url]);
  assert.equal(seen.large.fits, false);
  assert.equal(seen.large.largestBufferAllowed, 128 << 20);
  assert.match(seen.large.reason, /largest buffer needs .* allows 134\.2 MB/);
  assert.match(seen.large.hint, /batch/);
  assert.equal(seen.small.fits, true);
  assert.deepEqual([seen.rank.code, seen.none.code, seen.gone.code, seen.aborted.code, seen.unsized.code], ["usage", "input", "download", "aborted", "no_length"], JSON.stringify(seen));
  for (const error of [seen.rank, seen.none, seen.gone, seen.aborted]) assert.ok(error.hint.length > 5 && error.name === "StepladderError", JSON.stringify(error));
  await unsized.close();
  await host.close();
  await close();
});
