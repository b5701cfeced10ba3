// Downloads, resume, checksums and the store, in a worker of a real browser against servers that misbehave.
import assert from "node:assert/strict";
import { build } from "esbuild";
import { test } from "./harness.mjs";
import { content, digest, fails, openTab, scene } from "./model-server.mjs";

const gguf = content(3_000_000, 7);
const repository = {
  "config.json": Buffer.from('{"model_type":"llama"}'),
  "tokenizer.json": Buffer.from("{}"),
  "chat_template.jinja": Buffer.from("{{ messages }}"),
  "README.md": Buffer.from("not needed"),
  "model.safetensors.index.json": Buffer.from('{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}'),
  "model-1.safetensors": content(1_200_000, 1),
  "model-2.safetensors": content(800_000, 2),
};
test(
  "a GGUF arrives whole, the second load asks the network for nothing, delete empties the store",
  scene({ "m.gguf": gguf }, {}, async ({ call, url, state, host }) => {
  const first = await call("open", `${url}/m.gguf`);
  assert.deepEqual(first.files, [{ name: "m.gguf", size: gguf.length, digest: digest(gguf) }]);
  assert.equal(first.beyond, "input");
  assert.equal(first.progress.at(-1).stage, "download");
  assert.equal(first.progress.at(-1).done, gguf.length);
  await host.close();
  const requests = state.seen.length;
  const second = await call("open", `${url}/m.gguf`);
  assert.deepEqual(second.files, first.files);
  assert.ok(second.progress.length > 0 && second.progress.every((step) => step.stage === "cache"));
  assert.equal(state.seen.length, requests);
  assert.equal(await call("size"), gguf.length);
  const [model] = await call("list");
  assert.deepEqual(model, { source: `${url}/m.gguf`, bytes: gguf.length, files: [{ name: "m.gguf", bytes: gguf.length, complete: true }] });
  await call("remove", `${url}/m.gguf`);
  assert.deepEqual(await call("list"), []);
}),
);

test(
  "a hub's model: shards by the index, only what is needed, the token in the header, other files left alone",
  scene(repository, {}, async ({ call, url, state }) => {
  const { files } = await call("open", "hf:o/m", { endpoint: url, token: "secret" });
  assert.deepEqual(files.map((file) => file.name).sort(), Object.keys(repository).filter((name) => name !== "README.md").sort());
  for (const file of files) assert.equal(file.digest, digest(repository[file.name]), file.name);
  assert.ok(state.seen.every((request) => request.token === "Bearer secret"));
  const requests = state.seen.length;
  await call("open", "hf:o/m", { endpoint: url });
  assert.equal(state.seen.length, requests);
}),
);

test(
  "a folder on a plain server",
  scene(repository, {}, async ({ call, url }) => {
  const { files } = await call("open", `${url}/`);
  assert.equal(files.find((file) => file.name === "model-2.safetensors").digest, digest(repository["model-2.safetensors"]));
}),
);

test(
  "connections that break are taken up again from the byte they stopped at",
  scene({ "m.gguf": gguf }, { breakAfter: 900_000 }, async ({ call, url, state }) => {
  const { files } = await call("open", `${url}/m.gguf`);
  assert.equal(files[0].digest, digest(gguf));
  assert.ok(state.seen.length >= 4);
  assert.ok(state.seen.slice(1).every((request) => Number(/\d+/.exec(request.range)[0]) > 0));
}),
);

test(
  "a load goes on where an earlier one, in a tab that is gone, was cancelled",
  scene({ "m.gguf": gguf }, { slow: true }, async ({ call, tab, url, state, context, page }) => {
  await assert.rejects(call("open", `${url}/m.gguf`, { abortAt: 1_000_000 }), fails("aborted", /m\.gguf/));
  await tab.close();
  const next = await openTab(context, page.url);
  const [model] = await next.call("list");
  assert.ok(model.bytes >= 1_000_000 && model.bytes < gguf.length && !model.files[0].complete);
  state.slow = false;
  const { files, progress } = await next.call("open", `${url}/m.gguf`);
  assert.equal(files[0].digest, digest(gguf));
  assert.equal(progress[0].done, model.bytes);
  assert.equal(state.seen.at(-1).range, `bytes=${model.bytes}-`);
}),
);

test(
  "a part of a file that has changed on the server is thrown away",
  scene({ "m.gguf": gguf }, { slow: true, etag: "old" }, async ({ call, url, state }) => {
  await assert.rejects(call("open", `${url}/m.gguf`, { abortAt: 1_000_000 }));
  Object.assign(state, { slow: false, etag: "new" });
  const { files } = await call("open", `${url}/m.gguf`);
  assert.equal(files[0].digest, digest(gguf));
  assert.equal(state.seen.at(-1).range, undefined);
}),
);

test(
  "a server without ranges, and one that hides its headers",
  scene({ "m.gguf": gguf }, { slow: true, exposed: false }, async ({ call, url, state }) => {
  await assert.rejects(call("open", `${url}/m.gguf`, { abortAt: 1_000_000 }));
  Object.assign(state, { slow: false, noRanges: true });
  assert.equal((await call("open", `${url}/m.gguf`)).files[0].digest, digest(gguf));
  await call("remove", `${url}/m.gguf`);
  Object.assign(state, { slow: true, noRanges: false });
  await assert.rejects(call("open", `${url}/m.gguf`, { abortAt: 1_000_000 }));
  state.slow = false;
  assert.equal((await call("open", `${url}/m.gguf`)).files[0].digest, digest(gguf));
  // What the page cannot tell apart is not put together.
  assert.equal(state.seen.at(-1).range, undefined);
}),
);

test(
  "a download that differs from the announced checksum is refused and not kept",
  scene(repository, { digest: "0".repeat(64) }, async ({ call, url, state }) => {
  await assert.rejects(call("open", "hf:o/m", { endpoint: url }), fails("checksum", /model-1\.safetensors/));
  const [model] = await call("list");
  assert.equal(model.files.find((file) => file.name === "model-1.safetensors").bytes, 0);
  await assert.rejects(call("open", "hf:o/m", { endpoint: url, cache: false }), fails("checksum", /model-1/));
  assert.ok(state.seen.length > 0);
}),
);

test(
  "a file that was damaged in the store is noticed and downloaded anew",
  scene({ "m.gguf": gguf }, {}, async ({ call, url, state }) => {
  await call("open", `${url}/m.gguf`);
  assert.equal(await call("damage"), 1);
  const { files } = await call("open", `${url}/m.gguf`);
  assert.equal(files[0].digest, digest(gguf));
  assert.equal(state.seen.length, 2);
}),
);

test(
  "too little space: says how much is needed and free, and memory is the way out",
  scene({ "m.gguf": gguf }, {}, async ({ call, tab, url, context, page }) => {
  const protocol = await context.newCDPSession(tab);
  await protocol.send("Storage.overrideQuotaForOrigin", { origin: page.url, quotaSize: 1_000_000 });
  await assert.rejects(call("open", `${url}/m.gguf`), fails("quota", /m\.gguf needs [123]\.\d MB more, and the browser gives this page no more/));
  assert.equal((await call("open", `${url}/m.gguf`, { cache: false })).files[0].digest, digest(gguf));
}),
);

test(
  "too little space for what a hub announces is known before its weights are asked for",
  scene(repository, {}, async ({ call, tab, url, state }) => {
  await call("size");
  const worker = tab.workers()[0];
  await worker.evaluate(() => (StorageManager.prototype.estimate = async () => ({ quota: 1_500_000, usage: 500_000 })));
  await assert.rejects(call("open", "hf:o/m", { endpoint: url }), fails("quota", /o\/m needs 2\.0 MB more, and 1\.0 MB are free/));
  assert.ok(state.seen.every((request) => !/model-\d/.test(request.path)));
}),
);

test(
  "offline, no such file, no permission, a dead server, a source that is none",
  scene({ "m.gguf": gguf }, {}, async ({ call, url, state, context, host }) => {
  await context.setOffline(true);
  await assert.rejects(call("open", `${url}/m.gguf`), fails("offline", /offline/));
  await context.setOffline(false);
  await assert.rejects(call("open", `${url}/other.gguf`), fails("download", /no such .*404/));
  state.status = 401;
  await assert.rejects(call("open", "hf:o/m", { endpoint: url }), fails("download", /permission.*401/));
  await assert.rejects(call("open", "hf:../m", { endpoint: url }), fails("usage", /not the name/));
  await assert.rejects(call("open", "ftp://x/m.gguf"), fails("usage", /no source/));
  for (const none of [null, 7, [], {}]) await assert.rejects(call("open", none), fails("usage", /no source/));
  await host.close();
  await assert.rejects(call("open", `${url}/m.gguf`), fails("download", /connection failed/));
}),
);

test(
  "files of the visitor: one file, a chosen folder, a folder without a model",
  scene({}, {}, async ({ tab }) => {
  const [one, folder, none] = await tab.evaluate(async () => {
    const file = (path, text) => Object.defineProperty(new File([text], path.split("/").at(-1)), "webkitRelativePath", { value: path });
    const names = (answer) => answer.error?.code ?? [answer.value.name, ...answer.value.files.map((entry) => `${entry.name} ${entry.size}`)];
    return [
      names(await window.call("open", new File(["GGUF"], "a.gguf"))),
      names(await window.call("open", [new File(["{}"], "config.json"), new File(["{}"], "tokenizer.json"), new File(["abc"], "model.safetensors"), new File(["x"], "notes.txt")])),
      names(await window.call("open", [file("d/notes.txt", "x"), file("d/other.txt", "y")])),
    ];
  });
  assert.deepEqual(one, ["a.gguf", "a.gguf 4"]);
  assert.deepEqual(folder.slice(1), ["config.json 2", "tokenizer.json 2", "model.safetensors 3"]);
  assert.equal(none, "input");
}),
);

test(
  "two tabs that load one model download it once, and both have it",
  scene({ "m.gguf": gguf }, { slow: true }, async ({ call, url, state, context, page }) => {
  const other = await openTab(context, page.url);
  const first = call("open", `${url}/m.gguf`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const [one, two] = await Promise.all([first, other.call("open", `${url}/m.gguf`)]);
  assert.deepEqual([one.files[0].digest, two.files[0].digest], [digest(gguf), digest(gguf)]);
  assert.equal(state.seen.length, 1);
}),
);

test(
  "the digest of lengths around the blocks' ends, in uneven pieces, is the standard's",
  async () => {
    const source = await build({ entryPoints: [`${import.meta.dirname}/../src/files/hash.ts`], bundle: true, format: "esm", write: false });
    const { StreamingHash } = await import(`data:text/javascript;base64,${Buffer.from(source.outputFiles[0].text).toString("base64")}`);
    for (const length of [0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000, 100_003]) {
      const bytes = content(100_004, length).subarray(0, length);
      for (const step of [1, 7, 64, 65, 4096].filter((size) => length / size < 20_000)) {
        const hash = new StreamingHash();
        for (let at = 0; at < length; at += step) hash.update(bytes.subarray(at, at + step));
        assert.equal(hash.hex(), digest(bytes), `${length} bytes by ${step}`);
      }
    }
  },
);
