// The space that the browser gives to this page.

import { StepladderError } from "../errors.js";

const HINT =
  "delete models or runs that you no longer need, free space on the disk, or load with the option cache: false, " +
  "which keeps the model in memory only";

/** Throws before the first byte if the rest of a download cannot be kept. */
export async function checkQuota(what: string, needed: number): Promise<void> {
  const free = await freeSpace();
  if (free !== undefined && needed > free) throw await quotaError(what, needed);
}

export async function quotaError(what: string, needed: number | undefined, cause?: unknown): Promise<StepladderError> {
  const free = await freeSpace();
  const wish = needed === undefined ? "more space" : `${bytes(needed)} more`;
  // A browser that refused a write although it says that there is room (they round, against fingerprinting) knows better.
  const trusted = free !== undefined && (cause === undefined || (needed !== undefined && free < needed));
  const rest = trusted ? `${bytes(free)} are free for this page` : "the browser gives this page no more (it does not say how much is free)";
  return new StepladderError("quota", `${what} needs ${wish}, and ${rest}`, HINT, { cause });
}

/** Bytes that this page may still keep, as far as the browser tells. */
export async function freeSpace(): Promise<number | undefined> {
  if (globalThis.navigator?.storage?.estimate === undefined) return undefined;
  const { quota, usage } = await navigator.storage.estimate();
  return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
}

export function bytes(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} GB`;
  return count >= 1e6 ? `${(count / 1e6).toFixed(1)} MB` : `${Math.ceil(count / 1e3)} kB`;
}
