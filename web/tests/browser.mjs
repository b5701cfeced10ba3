// Debian's Chromium with WebGPU on SwiftShader.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

export function launch(options = {}) {
  const path = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((file) => existsSync(file));
  if (!path) throw new Error("no Chromium: install Debian's package `chromium`, or set CHROMIUM to the program");
  return chromium.launch({ executablePath: path, args: [...FLAGS, ...(options.args ?? [])] });
}
