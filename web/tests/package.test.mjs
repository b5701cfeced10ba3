// The packed tarball as its users have it: in an empty Vite project, in a plain page, in Node. And the size of the WASM.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { check, nodeEnvironment, openBrowser, root, serve, test } from "./harness.mjs";

const web = join(root, "web");
/** Compressed bytes of the WASM, without the tiny model, that a visitor downloads at most. */
const MOST_BYTES = 1.65e6;

/** A project in an empty folder with the packed package installed; `also` are packages of web/node_modules that it shares. */
function project(also) {
  const tarball = readdirSync(web).find((name) => name.endsWith(".tgz"));
  check(tarball !== undefined, "there is no tarball: make npm");
  const folder = mkdtempSync(join(tmpdir(), "stepladder-package-"));
  writeFileSync(join(folder, "package.json"), '{ "name": "empty", "private": true, "type": "module" }');
  const npm = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--offline", "--legacy-peer-deps", join(web, tarball)];
  execFileSync("npm", npm, { cwd: folder, stdio: "pipe" });
  for (const name of also) cpSync(join(web, "node_modules", name), join(folder, "node_modules", name), { recursive: true });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** What each of the three runs: the first example of the package's page. */
const EXAMPLE = `
  const model = await load("tiny");
  let text = "";
  for await (const chunk of model.generate("?3*x^2=", { temperature: 0, maxTokens: 8 })) text += chunk.text;
  await model.dispose();
`;

async function textOf(url) {
  const context = await (await openBrowser()).newContext();
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  const text = await page.waitForFunction(() => document.title !== "" && document.title, undefined, { timeout: 120_000 });
  const value = await text.jsonValue();
  await context.close();
  check(value === "x^3" && errors.length === 0, `the page says ${value} ${errors}`);
}

test("the WASM is small", () => {
  const bytes = readFileSync(join(web, "dist/wasm/stepladder_bg.wasm"));
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 };
  const size = brotliCompressSync(bytes, { params }).length;
  console.log(`      WASM: ${bytes.length} bytes, ${size} with brotli`);
  check(size <= MOST_BYTES, `${size} bytes, ${MOST_BYTES} are allowed`);
});

test("a plain page without a bundler runs the package", async () => {
  const { folder, remove } = project([]);
  const html = `<!doctype html><title></title><script type="module">
    import { load } from "/modules/stepladder/dist/index.js";
    ${EXAMPLE}
    document.title = text;
  </script>`;
  const server = await serve({ "/modules/": join(folder, "node_modules/") }, { "/": html });
  await textOf(`${server.url}/`);
  server.close();
  remove();
});

test("an empty Vite project builds and runs the package", async () => {
  const { folder, remove } = project([]);
  writeFileSync(join(folder, "index.html"), '<!doctype html><title></title><script type="module" src="/main.js"></script>');
  writeFileSync(join(folder, "main.js"), `import { load } from "stepladder";\n${EXAMPLE}\ndocument.title = text;\n`);
  writeFileSync(join(folder, "vite.config.js"), 'export default { worker: { format: "es" }, build: { target: "es2022" } };');
  execFileSync(process.execPath, [join(web, "node_modules/vite/bin/vite.js"), "build"], { cwd: folder, stdio: "pipe" });
  const server = await serve({ "/": join(folder, "dist/") });
  await textOf(`${server.url}/`);
  server.close();
  remove();
});

test("Node runs the package", () => {
  const { folder, remove } = project(["webgpu"]);
  mkdirSync(join(folder, "src"));
  const program = `import { load, verify } from "stepladder";\n${EXAMPLE}
    const { verdict } = await verify("integral", "3*x^2", text);\nconsole.log(text, verdict);\nprocess.exit(0);\n`;
  writeFileSync(join(folder, "src/main.js"), program);
  const output = execFileSync(process.execPath, ["src/main.js"], { cwd: folder, env: nodeEnvironment(), stdio: "pipe", timeout: 120_000 });
  check(String(output).trim().endsWith("x^3 correct"), String(output));
  remove();
});
