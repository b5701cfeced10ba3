// The examples of the package's page, as written.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { check, openBrowser, root, serve, test } from "./harness.mjs";

const readme = readFileSync(join(root, "web/README.md"), "utf8");
const examples = [...readme.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code);

test("the page has examples of at most ten lines", () => {
  check(examples.length >= 3, `${examples.length} examples`);
  for (const code of examples) check(code.trimEnd().split("\n").length <= 10, code);
});

examples.forEach((code, index) => {
  test(`example ${index + 1} runs`, async () => {
    const imports = JSON.stringify({ imports: { stepladder: "/dist/index.js" } });
    const page = `<!doctype html><title></title><script type="importmap">${imports}</script>
      <script type="module">${code}\ndocument.title = "done";</script>`;
    const server = await serve({ "/dist/": join(root, "web/dist/") }, { "/": page });
    const context = await (await openBrowser()).newContext();
    const tab = await context.newPage();
    const failed = new Promise((_, reject) => tab.on("pageerror", reject));
    await tab.goto(`${server.url}/`);
    await Promise.race([tab.waitForFunction(() => document.title === "done", undefined, { timeout: 200_000 }), failed]);
    await context.close();
    server.close();
  });
});
