// Where the package is called from, and what the page's policy lets it do: it works, or says what is missing and where to put it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openBrowser, root, test } from "./harness.mjs";
import { serve } from "./server.mjs";

const dist = join(root, "web/dist");
const TINY = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];

/** A page at its own server with the package under `/dist`; `headers` go with every answer, and `pages` are more files by path. */
async function scene(body, { headers = {}, pages = {} } = {}) {
  const server = await serve(dist);
  const own = await serve(async (request, response) => {
    const { pathname } = new URL(request.url, "http://x");
    const page = { "/": "<!doctype html><title>t</title>", ...pages }[pathname];
    if (page !== undefined) {
      response.writeHead(200, { "Content-Type": pathname.endsWith(".js") ? "text/javascript" : "text/html", ...headers }).end(page);
      return;
    }
    if (pathname.startsWith("/dist/")) {
      const answer = await fetch(server.url + pathname.slice("/dist".length));
      const bytes = Buffer.from(await answer.arrayBuffer());
      response.writeHead(answer.status, { "Content-Type": answer.headers.get("content-type") ?? "text/plain", ...headers }).end(bytes);
      return;
    }
    response.writeHead(404, headers).end();
  });
  const context = await (await openBrowser()).newContext();
  try {
    const page = await context.newPage();
    await page.goto(`${own.url}/`);
    await body({ page, url: own.url, context });
  } finally {
    await context.close();
    await own.close();
    await server.close();
  }
}

/** In the page: loads a model by the package at an address and answers with its text, or the error. */
const loadFrom = async ([address, source]) => {
  try {
    const { load } = await import(address);
    const model = await load(source);
    let text = "";
    for await (const chunk of model.generate("?3*x^2=", { temperature: 0, maxTokens: 8 })) text += chunk.text;
    await model.dispose();
    return { text };
  } catch ({ name, code, message, hint }) {
    return { name, code, message, hint };
  }
};

function isError(error, code, message, hint) {
  assert.equal(error.name, "StepladderError", JSON.stringify(error));
  assert.equal(error.code, code, JSON.stringify(error));
  assert.match(error.message, message);
  assert.match(error.hint, hint);
}

test("the package of another origin, as from a CDN, runs in a worker of this page", async () => {
  const cdn = await serve(dist, { "Access-Control-Allow-Origin": "*" });
  try {
    await scene(async ({ page }) => {
      const seen = await page.evaluate(loadFrom, [`${cdn.url}/index.js`, "tiny"]);
      assert.equal(seen.text, "x^3", JSON.stringify(seen));
    });
  } finally {
    await cdn.close();
  }
});

test("another origin that lets its modules be read but for the worker's: the error names it and CORS", async () => {
  const open = await serve(dist, { "Access-Control-Allow-Origin": "*" });
  const cdn = await serve(async (request, response) => {
    const answer = await fetch(open.url + request.url);
    const headers = { "Content-Type": answer.headers.get("content-type"), ...(!request.url.endsWith("/worker.js") && { "Access-Control-Allow-Origin": "*" }) };
    response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()));
  });
  try {
    await scene(async ({ page }) => {
      isError(await page.evaluate(loadFrom, [`${cdn.url}/index.js`, "tiny"]), "no_worker", /worker\.js cannot be loaded/, /Access-Control-Allow-Origin/);
    });
  } finally {
    await cdn.close();
    await open.close();
  }
});

test("a shared worker can start none: the error says where to call from", async () => {
  const shared = `import { load, listCached } from "/dist/index.js";
    const caught = (work) => work.then(() => null, ({ name, code, message, hint }) => ({ name, code, message, hint }));
    onconnect = async ({ ports: [port] }) => port.postMessage([await caught(load("tiny")), await caught(listCached())]);`;
  await scene(
    async ({ page }) => {
      const errors = await page.evaluate(
        () =>
          new Promise((resolve) => {
            const { port } = new SharedWorker("/shared.js", { type: "module" });
            port.onmessage = ({ data }) => resolve(data);
          }),
      );
      for (const error of errors) isError(error, "no_worker", /no worker/, /page or from a dedicated worker/);
    },
    { pages: { "/shared.js": shared } },
  );
});

test("a sandboxed frame without an origin can start none: the error says allow-same-origin", async () => {
  const framed = `<!doctype html><script type="module">
    const load = ${loadFrom};
    parent.postMessage(await load([new URL("/dist/index.js", location.href).href, "tiny"]), "*");
  </script>`;
  await scene(
    async ({ page }) => {
      const error = await page.evaluate(
        () =>
          new Promise((resolve) => {
            addEventListener("message", ({ data }) => resolve(data), { once: true });
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts";
            frame.src = "/frame.html";
            document.body.append(frame);
          }),
      );
      isError(error, "no_worker", /worker\.js cannot be loaded/, /allow-same-origin/);
    },
    { headers: { "Access-Control-Allow-Origin": "*" }, pages: { "/frame.html": framed } },
  );
});

const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";
for (const [what, policy, source, message, hint] of [
  ["WebAssembly", "default-src 'self'; script-src 'self'", "tiny", /WebAssembly.*script-src/, /'wasm-unsafe-eval'/],
  ["the package's files", "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'none'", "tiny", /connect-src/, /connect-src/],
  ["workers", "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'none'", "tiny", /worker.*worker-src/, /worker-src.*'self'/],
  ["the model's address", POLICY, "https://example.org/m.gguf", /example\.org\/m\.gguf.*connect-src/, /connect-src/],
]) {
  test(`a content security policy that forbids ${what}: the error names the directive`, () =>
    scene(
      async ({ page, url }) => {
        isError(await page.evaluate(loadFrom, [`${url}/dist/index.js`, source]), "csp", message, hint);
      },
      { headers: { "Content-Security-Policy": policy } },
    ));
}

test("a content security policy that allows what is needed", () =>
  scene(
    async ({ page, url }) => {
      const seen = await page.evaluate(loadFrom, [`${url}/dist/index.js`, "tiny"]);
      assert.equal(seen.text, "x^3", JSON.stringify(seen));
    },
    { headers: { "Content-Security-Policy": POLICY } },
  ));

test("weights that are cut, garbled or no weights are not kept: the same address loads once its server is mended", async () => {
  const files = Object.fromEntries(await Promise.all(TINY.map(async (name) => [name, await readFile(join(dist, "tiny", name))])));
  const weights = files["model.safetensors"];
  let sent = weights;
  let asked = 0;
  const host = await serve((request, response) => {
    const name = request.url.slice(1);
    const cors = { "Access-Control-Allow-Origin": "*" };
    if (files[name] === undefined) return response.writeHead(404, cors).end();
    asked += 1;
    response.writeHead(200, cors);
    // In pieces and without a length.
    response.write((name === "model.safetensors" ? sent : files[name]).subarray(0, 10));
    return setTimeout(() => response.end((name === "model.safetensors" ? sent : files[name]).subarray(10)), 20);
  });
  try {
    await scene(async ({ page, url }) => {
      const load = () => page.evaluate(loadFrom, [`${url}/dist/index.js`, `${host.url}/`]);
      for (const wrong of [weights.subarray(0, weights.length / 2), Buffer.alloc(1000, 7), Buffer.from('{"error":"no such file"}'), Buffer.alloc(0)]) {
        sent = wrong;
        isError(await load(), "input", /model\.safetensors/, /./);
        const kept = await page.evaluate(async () => (await import("/dist/index.js")).listCached());
        assert.deepEqual(kept, []);
      }
      sent = weights;
      assert.equal((await load()).text, "x^3");
      const before = asked;
      assert.equal((await load()).text, "x^3");
      assert.equal(asked, before);
    });
  } finally {
    await host.close();
  }
});
