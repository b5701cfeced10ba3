// Pictures of every tab, light, dark and at phone width, after a short run of each: `npm run screenshots [FOLDER]`.
import { mkdir } from "node:fs/promises";
import { closeBrowser } from "./harness.mjs";
import { fileURLToPath } from "node:url";
import { openDemo } from "./page.mjs";
import { serve } from "./server.mjs";

const folder = process.argv[2] ?? `${import.meta.dirname}/../screenshots-out`;
await mkdir(folder, { recursive: true });
const demo = await openDemo({ viewport: { width: 1240, height: 900 } });
const { page } = demo;

async function shoot(name) {
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    await page.waitForTimeout(150);
    await page.screenshot({ path: `${folder}/${name}-${theme}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.waitForTimeout(250);
  await page.screenshot({ path: `${folder}/${name}-phone.png`, fullPage: true });
  await page.setViewportSize({ width: 1240, height: 900 });
}

await shoot("model-first");
const models = await serve(fileURLToPath(new URL("../../models/", import.meta.url)), { "Access-Control-Allow-Origin": "*" });
await page.getByLabel("A model on the net").fill(`${models.url}/tiny/`);
await page.locator("#fetch").click();
await page.locator("#preflight").waitFor();
await shoot("preflight");
await page.locator("#preflight-not").click();
await page.getByLabel("A model on the net").fill("");
await models.close();
await demo.loadTiny();
await page.waitForTimeout(600);
await shoot("model");
await demo.tab("Chat");
await page.getByLabel("Your message").fill("x*cos(2*x)");
await page.getByRole("button", { name: "Send" }).click();
await demo.idle();
await shoot("chat");
await demo.tab("LADDER");
await page.locator("#ladder-start").click();
await demo.idle(400_000);
await shoot("ladder");
await demo.tab("TTRL");
await page.locator("#ttrl-steps").fill("2");
await page.locator("#ttrl-start").click();
await demo.idle(200_000);
await shoot("ttrl");
await demo.tab("Learn");
await page.locator("#learn-text").fill("482?\t617\n489?\t648\n496?\t741\n503?\t896");
await page.locator("#learn-start").click();
await demo.idle(600_000);
await shoot("learn");
await page.locator("#learn-accept").click();
await demo.idle();
await page.locator("#learn-question").fill("489?");
await page.locator("#learn-ask").click();
await demo.idle();
await shoot("learnt");
await demo.close();
const without = await openDemo({ viewport: { width: 1240, height: 900 }, before: () => Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined }), noGpu: true });
await without.page.screenshot({ path: `${folder}/without.png`, fullPage: true });
await without.close();
await closeBrowser();
console.log(demo.errors.join("\n") || `pictures are in ${folder}`);
