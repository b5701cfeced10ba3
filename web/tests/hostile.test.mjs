// Servers that lie, compress, fail, answer with pages or change their files in the middle; each is met by the functions that load.
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { test } from "./harness.mjs";
import { content, digest, fails, scene } from "./model-server.mjs";

const first = content(3_000_000, 7);
/** Another file of the same size. */
const second = content(3_000_000, 8);
const folder = { "config.json": Buffer.from("{}"), "tokenizer.json": Buffer.from("{}"), "model.safetensors": content(400_000, 3) };
const PAGE = "<!doctype html><html><head><title>An application</title></head><body><div id=app></div></body></html>";

/** Sends the rest of `body` that was asked for; `own` are the headers that say which version it is. */
function send({ request, response, cors }, body, own, end = body.length) {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const headers = { ...cors, ...own, "Content-Length": body.length - from };
  if (from > 0) headers["Content-Range"] = `bytes ${from}-${body.length - 1}/${body.length}`;
  response.writeHead(from > 0 ? 206 : 200, headers);
  if (end === body.length) return response.end(body.subarray(from));
  response.write(body.subarray(from, end));
  return setTimeout(() => response.destroy(), 60);
}

/** Answers the first request for the weights with the beginning of one file, and later ones from another of the same size. */
function replaced(own) {
  let asked = 0;
  return (call) => {
    asked += 1;
    if (asked === 1) send(call, first, own("first"), 1_000_000);
    else send(call, second, own("second"));
    return true;
  };
}

const hidden = { exposed: false };
for (const [what, state, own] of [
  ["whose versions the page cannot see", hidden, (version) => ({ ETag: `"${version}"` })],
  ["with a weak mark", {}, (version) => ({ ETag: `W/"${version}"` })],
  ["without any mark", {}, () => ({})],
  ["that tells when it was changed", hidden, (version) => ({ "Last-Modified": version === "first" ? "Tue, 01 Jul 2025 10:00:00 GMT" : "Wed, 02 Jul 2025 10:00:00 GMT" })],
]) {
  for (const cache of [true, false]) {
    test(
      `a file ${what}, replaced while it was downloaded: no mixture of the two (cache: ${cache})`,
      scene({ "m.gguf": first }, { ...state, answer: replaced(own) }, async ({ call, url }) => {
        const { files } = await call("open", `${url}/m.gguf`, { cache });
        assert.equal(files[0].digest, digest(second));
      }),
    );
  }
}

test(
  "a file whose mark is hidden goes on at its byte where the hub announced its digest, and begins anew if the digest differs",
  scene(folder, hidden, async ({ call, url, state }) => {
    const weights = folder["model.safetensors"];
    const other = content(400_000, 4);
    let asked = 0;
    state.answer = (request) => {
      if (request.name !== "model.safetensors") return false;
      asked += 1;
      // The first half is of another file, so that only the digest can tell.
      if (asked === 1) send(request, other, {}, 200_000);
      else send(request, weights, {});
      return true;
    };
    const { files } = await call("open", "hf:o/m", { endpoint: url });
    assert.equal(files.find(({ name }) => name === "model.safetensors").digest, digest(weights));
    const ranges = state.seen.filter(({ path }) => path.endsWith("model.safetensors")).map(({ range }) => range);
    assert.deepEqual(ranges, [undefined, "bytes=200000-", undefined]);
  }),
);

test(
  "a small file of the right length with other bytes than the hub's git digest is refused and not kept",
  scene(folder, {}, async ({ call, url, state }) => {
    state.answer = (request) => request.name === "tokenizer.json" && (send(request, Buffer.from("[]"), {}), true);
    await assert.rejects(call("open", "hf:o/m", { endpoint: url }), fails("checksum", /tokenizer\.json.*git/));
    await assert.rejects(call("open", "hf:o/m", { endpoint: url, cache: false }), fails("checksum", /tokenizer\.json.*git/));
    state.answer = undefined;
    const { files } = await call("open", "hf:o/m", { endpoint: url });
    assert.equal(files.length, 3);
  }),
);

const soft = Buffer.alloc(2_000_000, "weights ");
const hard = content(300_000, 5);
for (const [kind, body] of [["that shrink", soft], ["that do not shrink", hard]]) {
  for (const shown of [true, false]) {
    test(
      `weights ${kind} with Content-Encoding: gzip and the length of the compressed body (encoding ${shown ? "shown" : "hidden"})`,
      scene({ "m.gguf": body }, {}, async ({ call, url, state }) => {
        state.answer = ({ response, cors }) => {
          const packed = gzipSync(body);
          const seen = { ...cors, "Access-Control-Expose-Headers": shown ? "Content-Encoding, ETag" : "" };
          response.writeHead(200, { ...seen, "Content-Encoding": "gzip", "Content-Length": packed.length }).end(packed);
          return true;
        };
        for (const cache of [true, false, true]) {
          const { files } = await call("open", `${url}/m.gguf`, { cache });
          assert.deepEqual(files, [{ name: "m.gguf", size: body.length, digest: digest(body) }]);
        }
      }),
    );
  }
}

test(
  "a host that answers every unknown name with its page and 200: what is optional is not there, what is needed is named",
  scene(folder, {}, async ({ call, url, state }) => {
    state.answer = ({ response, cors, body }) => {
      if (body !== undefined) return false;
      response.writeHead(200, { ...cors, "Content-Type": "text/html" }).end(PAGE);
      return true;
    };
    for (const cache of [true, false]) {
      const { files } = await call("open", `${url}/`, { cache });
      assert.deepEqual(files.map(({ name }) => name).sort(), Object.keys(folder).sort());
      await assert.rejects(call("open", `${url}/nowhere/`, { cache }), fails("download", /nowhere\/config\.json.*web page/));
      await assert.rejects(call("open", `${url}/nowhere.gguf`, { cache }), fails("download", /nowhere\.gguf.*web page/));
    }
  }),
);

test(
  "a page in place of weights is not kept, whatever its type, and the file is loaded once the server has it",
  scene({ "m.gguf": first }, {}, async ({ call, url, state }) => {
    for (const type of ["text/html", "application/octet-stream"]) {
      state.answer = ({ response, cors }) => {
        response.writeHead(200, { ...cors, "Content-Type": type }).end(`\n  ${PAGE}`);
        return true;
      };
      await assert.rejects(call("open", `${url}/m.gguf`), fails("download", /web page/));
      assert.equal(await call("size"), 0);
    }
    state.answer = undefined;
    assert.equal((await call("open", `${url}/m.gguf`)).files[0].digest, digest(first));
  }),
);

test(
  "a server that is busy or broken for a moment: some tries, then an error that says so",
  scene({ "m.gguf": first }, {}, async ({ call, url, state }) => {
    for (const [cache, statuses] of [[true, [503, 429]], [false, [500, 502, 504]]]) {
      const left = [...statuses];
      state.answer = ({ response, cors }) => {
        if (left.length === 0) return false;
        response.writeHead(left.shift(), { ...cors, "Retry-After": "1" }).end();
        return true;
      };
      assert.equal((await call("open", `${url}/m.gguf`, { cache })).files[0].digest, digest(first));
      assert.deepEqual(left, []);
      await call("remove", `${url}/m.gguf`);
    }
    state.answer = undefined;
    state.status = 503;
    state.seen.length = 0;
    await assert.rejects(call("open", `${url}/m.gguf`, { cache: false }), (error) => fails("download", /503/)(error) && !/goes on/.test(error.hint));
    assert.ok(state.seen.length > 1 && state.seen.length < 10, `${state.seen.length} requests`);
  }),
);

test(
  "cache: false takes a broken connection up again as well",
  scene({ "m.gguf": first }, { breakAfter: 900_000 }, async ({ call, url, state }) => {
    const { files } = await call("open", `${url}/m.gguf`, { cache: false });
    assert.equal(files[0].digest, digest(first));
    assert.ok(state.seen.slice(1).every(({ range }) => /^bytes=\d+-$/.test(range)), JSON.stringify(state.seen));
  }),
);

test(
  "a server that always breaks and never shows which version it sends is given up, not asked for ever",
  scene({ "m.gguf": first }, { ...hidden, breakAfter: 900_000 }, async ({ call, url, state }) => {
    await assert.rejects(call("open", `${url}/m.gguf`), fails("download", /connection failed/));
    assert.ok(state.seen.length < 10 && state.seen.every(({ range }) => range === undefined), JSON.stringify(state.seen));
  }),
);

test(
  "refresh asks the server again: what is as it was is kept, what has changed is downloaded",
  scene(folder, {}, async ({ call, url, state }) => {
    const names = Object.keys(folder).length;
    const sent = () => state.seen.filter(({ path }) => path.endsWith("model.safetensors")).length;
    const weights = (answer) => answer.files.find(({ name }) => name === "model.safetensors").digest;
    await call("open", `${url}/`);
    state.seen.length = 0;
    await call("open", `${url}/`);
    assert.equal(state.seen.length, 0, "a kept model asks nobody");
    const same = await call("open", `${url}/`, { refresh: true });
    assert.equal(same.files.length, names);
    assert.equal(sent(), 1);
    assert.ok(same.progress.every(({ stage }) => stage === "cache"), JSON.stringify(same.progress));
    const newer = content(400_000, 9);
    state.answer = (request) => request.name === "model.safetensors" && (send(request, newer, { ETag: '"newer"' }), true);
    assert.equal(weights(await call("open", `${url}/`)), digest(folder["model.safetensors"]));
    assert.equal(weights(await call("open", `${url}/`, { refresh: true })), digest(newer));
    assert.equal(weights(await call("open", `${url}/`)), digest(newer));
  }),
);

test(
  "refresh of a hub's model asks for its list only, where digests say that the files are the same",
  scene(folder, {}, async ({ call, url, state }) => {
    await call("open", "hf:o/m", { endpoint: url });
    state.seen.length = 0;
    const { progress } = await call("open", "hf:o/m", { endpoint: url, refresh: true });
    assert.deepEqual(state.seen.map(({ path }) => path), ["/api/models/o/m/revision/main"]);
    assert.ok(progress.every(({ stage }) => stage === "cache"));
  }),
);

test(
  "a store that is full before its folder is there speaks of space",
  scene({ "m.gguf": first }, {}, async ({ call, tab, url, context, page }) => {
    const protocol = await context.newCDPSession(tab);
    await protocol.send("Storage.overrideQuotaForOrigin", { origin: page.url, quotaSize: 1 });
    await assert.rejects(call("open", `${url}/m.gguf`), (error) => {
      assert.equal(error.code, "quota", `${error.message} ${error.hint}`);
      assert.doesNotMatch(error.hint, /private browsing/);
      return true;
    });
  }),
);
