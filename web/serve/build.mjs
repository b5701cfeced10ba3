// Makes the page that `stepladder serve` shows: src/serve/page, which the program holds, so that it builds without Node. It is
// committed; a test compares. `node serve/build.mjs --check` only compares, and names the files that differ.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const options = { bundle: true, write: false, charset: "utf8", target: "es2022", format: "esm", legalComments: "none" };
const bundle = async (entry) => (await build({ ...options, entryPoints: [here(entry)], absWorkingDir: here("..") })).outputFiles[0].text;

const files = {
  "page.js": await bundle("src/main.ts"),
  "page.css": await bundle("style.css"),
  "index.html": readFileSync(here("index.html"), "utf8"),
  "icon.svg": readFileSync(here("../demo/icon.svg"), "utf8"),
};
const differing = [];
for (const [name, text] of Object.entries(files)) {
  const path = here(`../../src/serve/page/${name}`);
  if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
  differing.push(name);
  if (!process.argv.includes("--check")) writeFileSync(path, text);
}
if (process.argv.includes("--check") && differing.length > 0) {
  console.error(`src/serve/page is not what web/serve makes: ${differing.join(", ")}; run \`node serve/build.mjs\` in web/`);
  process.exit(1);
}
