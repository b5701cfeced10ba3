// What the tests share: a list of tests, a server of static files, and one Chromium with WebGPU on its software device.

import { createServer } from "node:http";
import { readFile, stat } from "node:fs/promises";
import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

/** The repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Tests by the file that declared them. */
export const declared = [];

/** Declares a test. It fails by throwing. `seconds` bounds it. */
export function test(name, body, { seconds = 600 } = {}) {
  declared.push({ name, body, seconds });
}

/** Settings of a run that is over in a minute on a CPU. */
export const SHORT = {
  group_size: 4,
  prompts_per_step: 2,
  "variants.per_node": 4,
  "sampling.max_tokens": 16,
  "variants.sampling.max_tokens": 24,
  "evaluation.sampling.max_tokens": 16,
  "curriculum.refill_rounds": 0,
  checkpoint_every: 1,
};

const TYPES = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/** Serves the folders of `mounts` (path prefix to folder), and `pages` (path to HTML text). */
export async function serve(mounts, pages = {}) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    if (path in pages) {
      response.writeHead(200, { "content-type": "text/html" }).end(pages[path]);
      return;
    }
    if (path === "/favicon.ico") {
      response.writeHead(204).end();
      return;
    }
    const prefix = Object.keys(mounts).find((prefix) => path.startsWith(prefix));
    const file = prefix === undefined ? undefined : join(mounts[prefix], normalize(path.slice(prefix.length)));
    try {
      const found = file !== undefined && (await stat(file)).isDirectory() ? join(file, "index.html") : file;
      const body = await readFile(found);
      response.writeHead(200, { "content-type": TYPES[extname(found)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** Where Debian, other systems and `STEPLADDER_CHROMIUM` have the browser. */
function chromiumPath() {
  const places = [process.env.STEPLADDER_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const found = places.find((path) => path !== undefined && existsSync(path));
  if (found === undefined) throw new Error("no Chromium: apt-get install chromium, or name one in STEPLADDER_CHROMIUM");
  return found;
}

/**
 * The environment in which Node's WebGPU finds a device. On Linux that is Chromium's own software device, the only one that Dawn
 * takes, or else what the caller names in VK_DRIVER_FILES; other systems bring theirs.
 */
export function nodeEnvironment() {
  const { env } = process;
  if (process.platform !== "linux") return env;
  const program = chromiumPath();
  // Debian's program is a script; the browser itself lies in a folder of the same name.
  const folders = [dirname(realpathSync(program)), ...["/usr/lib", "/usr/lib64"].map((folder) => join(folder, basename(program)))];
  const places = [env.STEPLADDER_SWIFTSHADER, ...folders.map((folder) => join(folder, "vk_swiftshader_icd.json"))];
  const found = places.find((path) => path && existsSync(path));
  if (found !== undefined) return { ...env, VK_DRIVER_FILES: found };
  if (env.VK_DRIVER_FILES === undefined) {
    throw new Error(
      `no vk_swiftshader_icd.json beside ${program}: name Chromium's in STEPLADDER_SWIFTSHADER (apt-get install chromium brings it), ` +
        "or the manifest of a Vulkan driver in VK_DRIVER_FILES",
    );
  }
  return env;
}

let browser;

/** The browser of all tests. */
export async function openBrowser() {
  browser ??= await chromium.launch({
    executablePath: chromiumPath(),
    args: ["--headless=new", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
  });
  return browser;
}

export async function closeBrowser() {
  await browser?.close();
}

/** An empty page with the built package under `/dist`, in a profile of its own; `close` ends it. */
export async function openPage() {
  const server = await serve({ "/dist/": join(root, "web/dist/"), "/tests/": join(root, "web/tests/") }, { "/": "<!doctype html><title>t</title>" });
  const context = await (await openBrowser()).newContext();
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(`${server.url}/`);
  const close = async () => {
    await context.close();
    server.close();
  };
  return { page, context, server, errors, close };
}

/** Fails unless `holds`. */
export function check(holds, message) {
  if (!holds) throw new Error(message);
}
