// The examples of the package's page and of the repository's, as written.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { check, openBrowser, root, serve, test } from "./harness.mjs";

const pages = ["web/README.md", "README.md"].map((page) => readFileSync(join(root, page), "utf8"));
const examples = pages.flatMap((page) => [...page.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code));

test("the pages have examples of at most ten lines", () => {
  check(examples.length >= 4, `${examples.length} examples`);
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
