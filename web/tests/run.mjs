// Runs the tests of every `*.test.mjs` here, or those whose file or name holds an argument; ends with `web: N passed, N failed`.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { closeBrowser, declared } from "./harness.mjs";

const wanted = process.argv.slice(2);
const files = readdirSync(new URL(".", import.meta.url))
  .filter((name) => name.endsWith(".test.mjs"))
  .sort();
let [passed, failed] = [0, 0];

if (wanted.length === 0) {
  await runAll();
} else {
  await runHere();
}
console.log(`web: ${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

/**
 * Runs every file in a process of its own, two at a time: a software device compiles its pipelines one after the other, so that a
 * single browser leaves cores idle. What takes longest comes first, and what measures how soon something ends comes last, alone.
 */
async function runAll() {
  const first = ["kernels.test.mjs", "library.test.mjs", "page.test.mjs"];
  const alone = ["abort.test.mjs"];
  const queue = [...first, ...files.filter((file) => !first.includes(file) && !alone.includes(file))];
  const lane = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await runApart(file);
  };
  await Promise.all([lane(), lane()]);
  for (const file of alone) await runApart(file);
}

/** Runs a file's tests in a process of its own, and prints what it printed once it ends. */
function runApart(file) {
  const child = spawn(process.execPath, [process.argv[1], file], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (printed += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject).on("close", (code) => {
      const sums = /^web: (\d+) passed, (\d+) failed$/m.exec(printed);
      process.stdout.write(printed.replace(/^web: .*\n/m, ""));
      passed += Number(sums?.[1] ?? 0);
      failed += Number(sums?.[2] ?? 0);
      // Also a file that ends without its sum, or with nothing but one, has failed.
      if (code !== 0 && !(Number(sums?.[2]) > 0)) {
        failed += 1;
        console.log(`FAIL  ${file}: ended with status ${code} before its tests were counted`);
      }
      resolve();
    });
  });
}

/** Runs what the arguments name in this process, with one browser. */
async function runHere() {
  for (const file of files) {
    declared.length = 0;
    await import(`./${file}`);
    for (const { name, body, seconds } of declared.splice(0)) {
      if (!wanted.some((part) => `${file}: ${name}`.includes(part))) continue;
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
}
