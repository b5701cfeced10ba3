// f32 matrix products in Chromium: stepladder's kernel and jax-js, in turns, in one page on one device. Prints JSON.
// Needs `scripts/wasm.sh --tests`, and `npm ci` here and in web/.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { closeBrowser, openBrowser, root, serve } from "../../../web/tests/harness.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const SIZES = [[512, 512, 512], [1024, 576, 1536]];
const ROUNDS = Number(process.argv[2] ?? 7);

const server = await serve(
  { "/jax/": join(here, "node_modules/@jax-js/jax/dist/"), "/rust/": join(root, "web/tests/wasm/") },
  { "/": "<!doctype html><title>peers</title>" },
);
const page = await (await openBrowser()).newPage();
await page.goto(`${server.url}/`);
console.log(JSON.stringify(await page.evaluate(measure, { SIZES, ROUNDS }), null, 1));
await closeBrowser();
server.close();
process.exit(0);

/** In the page. */
async function measure({ SIZES, ROUNDS }) {
  const rust = await import("/rust/browser_tests.js");
  await rust.default();
  const jax = await import("/jax/index.js");
  await jax.init("webgpu");
  jax.defaultDevice("webgpu");
  const device = await rust.Device.open(false, undefined);

  const random = (count, seed) => {
    let state = seed >>> 0;
    return Float32Array.from({ length: count }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 4294967296 - 0.5);
  };
  const worst = (got, a, b, [m, k, n]) => {
    let error = 0;
    for (let i = 0; i < 64; i++) {
      const [row, col] = [(i * 7919) % m, (i * 104729) % n];
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a[row * k + l] * b[l * n + col];
      error = Math.max(error, Math.abs(sum - got[row * n + col]));
    }
    return error;
  };
  const rows = [];
  for (const size of SIZES) {
    const [m, k, n] = size;
    const [a, b] = [random(m * k, 1), random(k * n, 2)];
    const turned = new Float32Array(n * k);
    for (let l = 0; l < k; l++) for (let j = 0; j < n; j++) turned[j * k + l] = b[l * n + j];
    const product = rust.Product.new(device, m, k, n, a, turned);
    const [left, right] = [jax.numpy.array(a, { shape: [m, k] }), jax.numpy.array(b, { shape: [k, n] })];
    const theirs = async () => {
      const result = jax.numpy.matmul(left.ref, right.ref);
      await result.blockUntilReady();
      result.dispose();
    };
    const ours = () => product.run();
    const times = { ours: [], theirs: [] };
    for (let round = -2; round < ROUNDS; round++) {
      for (const [name, run] of [["ours", ours], ["theirs", theirs]]) {
        const began = performance.now();
        await run();
        // The first two rounds compile and tune.
        if (round >= 0) times[name].push((performance.now() - began) / 1000);
      }
    }
    const result = jax.numpy.matmul(left.ref, right.ref);
    rows.push({
      size,
      ...times,
      error: { ours: worst(await product.read(), a, b, size), theirs: worst(await result.data(), a, b, size) },
    });
  }
  return rows;
}
