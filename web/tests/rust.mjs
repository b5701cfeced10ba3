// The Rust code that tests of kernels and models share with the native ones (tests/browser), in a page of its own.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { check, openPage, root } from "./harness.mjs";

/** WebGPU's defaults, as far as they matter to compute shaders (its specification, section "Limits"). */
const DEFAULTS = {
  maxBufferSize: 256 << 20,
  maxStorageBufferBindingSize: 128 << 20,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
};

/**
 * Runs `body(call)` with a device open: with its own or WebGPU's default limits, with the kernels that suit it (the browser of
 * these tests has a software device) or those for GPUs.
 */
export async function withDevice({ defaultLimits = false, software }, body) {
  check(existsSync(join(root, "web/tests/wasm/browser_tests.js")), "the Rust tests are not built for the browser: scripts/wasm.sh --tests");
  const { page, close } = await openPage();
  // A panic is told on the console, and the promise that it happened in never ends.
  const failed = new Promise((_, reject) => {
    page.on("pageerror", (error) => reject(error));
    page.on("console", (message) => message.type() === "error" && reject(new Error(message.text())));
  });
  failed.catch(() => {});
  const call = (body, argument) => Promise.race([page.evaluate(body, argument), failed]);
  try {
    const limits = await call(openDevice, { defaultLimits, software, names: Object.keys(DEFAULTS) });
    const defaults = Object.keys(DEFAULTS).every((name) => limits[name] === DEFAULTS[name]);
    check(defaults === defaultLimits, `limits of the device: ${JSON.stringify(limits)}`);
    check((await call(() => window.device.is_software())) === (software ?? true), "other variants than asked for");
    await body(call);
    await call(() => window.device.close());
  } finally {
    await close();
  }
}

/** In the page: the module as `rust`, the device as `device`. Gives the limits that the browser granted. */
async function openDevice({ defaultLimits, software, names }) {
  const { requestDevice } = GPUAdapter.prototype;
  let granted;
  GPUAdapter.prototype.requestDevice = async function (...values) {
    granted = await requestDevice.apply(this, values);
    return granted;
  };
  window.rust = await import("/tests/wasm/browser_tests.js");
  await window.rust.default();
  window.device = await window.rust.Device.open(defaultLimits, software);
  return Object.fromEntries(names.map((name) => [name, granted.limits[name]]));
}
