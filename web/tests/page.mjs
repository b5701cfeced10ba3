// The built demo page, served with the headers that it should be served with, and what its tests do over and over.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openBrowser } from "./harness.mjs";
import { serve } from "./server.mjs";

const built = fileURLToPath(new URL("../dist-demo/", import.meta.url));

export const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; " +
  "connect-src 'self' https: http://127.0.0.1:*; base-uri 'none'; form-action 'none'";

/** Opens the page in a profile of its own, or as another tab of `context` at `url`. */
export async function openDemo({ viewport, before, change, noGpu = false, context, url } = {}) {
  if (!existsSync(built)) throw new Error("the page is not built: run `npm run build` and `npm run demo:build` in web/");
  const server = url === undefined ? await serve(built, { "Content-Security-Policy": POLICY, "Cache-Control": "max-age=600" }, change) : undefined;
  const profile = context ?? (await (await openBrowser()).newContext({ viewport: viewport ?? { width: 1200, height: 900 } }));
  const page = await profile.newPage();
  if (before) await page.addInitScript(before);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  const address = url ?? server.url;
  await page.goto(`${address}/`);
  if (!noGpu) await page.getByRole("tab", { name: "Model" }).waitFor();
  return {
    page,
    errors,
    context: profile,
    url: address,
    tab: (name) => page.getByRole("tab", { name, exact: true }).click(),
    /** Waits until nothing runs. */
    idle: (timeout = 120_000) => page.locator("#status .dot:not(.busy)").waitFor({ timeout, state: "attached" }),
    async loadTiny() {
      await page.locator("#load-tiny").click();
      await page.locator("#status", { hasText: "tiny on" }).waitFor({ timeout: 60_000 });
    },
    async close() {
      await profile.close();
      await server?.close();
    },
  };
}
