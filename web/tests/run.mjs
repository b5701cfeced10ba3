// Runs the tests of every `*.test.mjs` here, or those whose file or name holds an argument; ends with `web: N passed, N failed`.

import { readdirSync } from "node:fs";
import { closeBrowser, declared } from "./harness.mjs";

const wanted = process.argv.slice(2);
const files = readdirSync(new URL(".", import.meta.url)).filter((name) => name.endsWith(".test.mjs")).sort();
let [passed, failed] = [0, 0];
for (const file of files) {
  declared.length = 0;
  await import(`./${file}`);
  for (const { name, body, seconds } of declared.splice(0)) {
    if (wanted.length > 0 && !wanted.some((part) => `${file}: ${name}`.includes(part))) continue;
    const began = performance.now();
    let timer;
    try {
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not done after ${seconds} s`)), seconds * 1000);
      });
      await Promise.race([body(), late]);
      passed += 1;
      console.log(`ok    ${file}: ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${file}: ${name}: ${error.stack ?? error}`);
    } finally {
      clearTimeout(timer);
    }
  }
}
await closeBrowser();
console.log(`web: ${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
