// The GPU's name, as far as the browser tells it.

import type { GpuInfo } from "stepladder";

export function gpuName(gpu: GpuInfo | undefined, info: GPUAdapterInfo): string {
  const words = [info.vendor, info.architecture].filter(Boolean).join(" ");
  return gpu?.name || info.description || words || "a GPU that the browser does not name";
}
