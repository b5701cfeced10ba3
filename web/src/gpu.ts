// What the browser tells of its GPU before a device is opened.

import { isNode, prepare } from "./node.js";

export interface GpuFacts {
  /** Description, or vendor and architecture; empty if the browser names nothing. */
  name: string;
  vendor: string;
  /** The largest binding that a device may have. */
  largest: number;
}

/** The facts of the adapter that the engine takes; undefined without one. */
export async function gpuFacts(defaultLimits = false): Promise<GpuFacts | undefined> {
  if (isNode()) await prepare();
  const adapter = await globalThis.navigator?.gpu?.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (!adapter) return undefined;
  const { vendor, architecture, description } = adapter.info;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  // WebGPU's defaults, which every device has.
  const largest = defaultLimits ? 128 << 20 : Math.min(maxBufferSize, maxStorageBufferBindingSize);
  return { name: description || [vendor, architecture].filter(Boolean).join(" "), vendor, largest };
}
