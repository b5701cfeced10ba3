// Whether a model and a workload fit this device, from the headers of its files.

import { fit } from "./wasm/stepladder.js";
import { StepladderError, codeOf } from "./errors.js";
import { openHeaders } from "./files/headers.js";
import { bytes, freeSpace } from "./files/quota.js";
import { gpuFacts } from "./gpu.js";
import { isNode, openPath } from "./node.js";
import { open } from "./sources.js";
import type { Fit, FitOptions, PreFlight, Source } from "./types.js";

type Asked = Omit<FitOptions, "signal">;

/** The plan of a source; nothing of its weights but their headers is fetched. */
export async function preFlight(source: Source, asked: Asked, signal: AbortSignal): Promise<PreFlight> {
  const { rank, batch, length, contextLength, defaultLimits, ...access } = asked;
  const workload = JSON.stringify({ rank, batch, length, contextLength });
  const gpu = await gpuFacts(defaultLimits).catch((error: unknown) => {
    if (error instanceof StepladderError && error.code === "no_webgpu") return undefined;
    throw error;
  });
  const headers = await headersOf(source, { ...access, signal });
  try {
    const plan = await planned(headers, workload, gpu?.largest).catch(async (error: unknown) => {
      // No copy is kept of files that do not open.
      if (codeOf(error) === "input" && headers.stored === true) await headers.discard?.();
      throw error;
    });
    const [memory, free] = [deviceMemory(), await freeSpace().catch(() => undefined)];
    if (gpu === undefined) {
      Object.assign(plan, { fits: false, reason: "there is no WebGPU here", hint: "use a browser with WebGPU, on https or localhost" });
    } else if (plan.fits && memory !== null && plan.total > memory) {
      plan.reason += `; the browser says that this machine has about ${bytes(memory)}, or more if that is the most that it says`;
    }
    const download = { bytes: headers.bytes, kept: headers.kept, free: free ?? null };
    return { ...plan, name: headers.name, download, deviceMemory: memory };
  } finally {
    headers.close();
  }
}

async function headersOf(source: Source, options: Parameters<typeof openHeaders>[1]): ReturnType<typeof openHeaders> {
  const here = (files: Awaited<ReturnType<typeof open>>) => ({ ...files, bytes: 0, kept: 0, more: async () => false });
  if (source === "tiny") return here(await open(source, options));
  const found = isNode() && typeof source === "string" ? openPath(source) : undefined;
  return found === undefined ? openHeaders(source, options) : here(found);
}

type Plan = Fit & Pick<PreFlight, "family" | "parameters" | "layers" | "contextLength">;

/** Asks the engine, and gets more of the files for as long as it lacks something. */
async function planned(headers: Awaited<ReturnType<typeof openHeaders>>, workload: string, largest: number | undefined): Promise<Plan> {
  for (;;) {
    try {
      return JSON.parse(fit(headers.name, headers.files, workload, largest)) as Plan;
    } catch (error) {
      if (!(await headers.more())) throw error;
    }
  }
}

function deviceMemory(): number | null {
  const gigabytes = (globalThis.navigator as { deviceMemory?: number } | undefined)?.deviceMemory;
  return gigabytes === undefined ? null : gigabytes * 2 ** 30;
}
