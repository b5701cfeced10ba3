// Runs the tests of every `*.test.mjs` here, or those whose file or name holds an argument; ends with `web: N passed, N failed`.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { setPriority } from "node:os";
import { closeBrowser, declared } from "./harness.mjs";

// Kernels are minutes of one core, on which their pipelines are compiled one after the other: where all is run, they go on
// beside the other files, and wait for these.
const BESIDE = "kernels.test.mjs";

const wanted = process.argv.slice(2);
const whole = wanted.length === 0;
const files = readdirSync(new URL(".", import.meta.url))
  .filter((name) => name.endsWith(".test.mjs") && !(whole && name === BESIDE))
  .sort();
const beside = whole ? runBeside(BESIDE) : undefined;
let [passed, failed] = [0, 0];

/** Runs a file's tests in a process of its own, behind all others. Gives what it printed, and its numbers. */
function runBeside(file) {
  const child = spawn(process.execPath, [process.argv[1], file], { stdio: ["ignore", "pipe", "inherit"] });
  setPriority(child.pid, 10);
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (printed += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject).on("close", () => {
      const [, passed, failed] = /^web: (\d+) passed, (\d+) failed$/m.exec(printed) ?? [undefined, 0, 1];
      resolve({ printed: printed.replace(/^web: .*\n/m, ""), passed: Number(passed), failed: Number(failed) });
    });
  });
}

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
if (beside !== undefined) {
  const other = await beside;
  process.stdout.write(other.printed);
  passed += other.passed;
  failed += other.failed;
}
console.log(`web: ${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
