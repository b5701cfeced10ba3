// Without WebGPU nothing here can run: what is missing, and how to get it in this browser.

import { h } from "./dom.js";

/** The GPU, or what hinders. */
export async function findGpu(): Promise<GPUAdapterInfo | "insecure" | "api" | "adapter"> {
  if (!isSecureContext) return "insecure";
  if (!navigator.gpu) return "api";
  return (await navigator.gpu.requestAdapter().catch(() => null))?.info ?? "adapter";
}

const PROBLEMS = {
  insecure: ["This address is not secure", "Browsers offer WebGPU only to pages that come by https or from this machine (localhost). Open the page by such an address."],
  api: ["This browser has no WebGPU", "The model runs on the GPU through WebGPU, and this browser does not offer it to pages."],
  adapter: ["This browser found no GPU to use", "WebGPU is there, but the browser gives no graphics device to pages. Often its driver is on a block list, or hardware acceleration is switched off."],
} as const;

const BROWSERS: [string, RegExp, string][] = [
  ["Firefox", /Firefox\//, "On Windows: version 141 or newer; on macOS with an Apple chip: 145 or newer. Elsewhere, Firefox Nightly, or about:config with dom.webgpu.enabled set to true."],
  ["Edge", /Edg\//, "Version 113 or newer. In edge://settings/system, switch on “Use graphics acceleration when available”. On Linux, also open edge://flags and enable “Unsafe WebGPU Support” and “Vulkan”."],
  ["Chrome", /Chrome\//, "Version 113 or newer (121 on Android). In chrome://settings/system, switch on “Use graphics acceleration when available”. On Linux, also open chrome://flags and enable “Unsafe WebGPU Support” and “Vulkan”. chrome://gpu tells what is blocked."],
  ["Safari", /Safari\//, "Version 26 or newer: macOS 26, iOS 26 or iPadOS 26. In Safari 18, switch on Develop, Feature Flags, WebGPU."],
];

export function unsupportedPanel(problem: keyof typeof PROBLEMS): HTMLElement {
  const [title, text] = PROBLEMS[problem];
  const mine = BROWSERS.find(([, pattern]) => pattern.test(navigator.userAgent))?.[0];
  const list = BROWSERS.toSorted(([a], [b]) => Number(b === mine) - Number(a === mine)).map(([name, , how]) =>
    h("div", { class: name === mine ? "browser mine" : "browser" }, h("dt", {}, name === mine ? `${name} (this one)` : name), h("dd", {}, how)),
  );
  return h(
    "section",
    { class: "unsupported", role: "alert" },
    h("h2", {}, title),
    h("p", {}, text),
    problem === "insecure" ? undefined : h("dl", {}, ...list),
    h("p", { class: "muted" }, "The same program runs natively without a browser: see the command line in the project’s README."),
  );
}
