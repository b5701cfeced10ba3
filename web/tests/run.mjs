// Runs every `*.test.mjs` here in headless Chromium with WebGPU on the CPU. Arguments choose files by a part of their name.
import { readdir } from "node:fs/promises";
import { launch } from "./browser.mjs";
import { serve } from "./server.mjs";

const chosen = process.argv.slice(2);
const files = (await readdir(import.meta.dirname))
  .filter((name) => name.endsWith(".test.mjs") && (chosen.length === 0 || chosen.some((part) => name.includes(part))))
  .sort();
const browser = await launch();
let [passed, failed] = [0, 0];
for (const file of files) {
  const { default: tests } = await import(`./${file}`);
  for (const { name, run } of tests) {
    const start = performance.now();
    try {
      await run({ browser, serve });
      passed += 1;
      console.log(`ok   ${file} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${file} ${name}\n${error.stack ?? error}`);
    }
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
