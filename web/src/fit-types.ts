// What a workload needs of the GPU, and what a model that is not loaded yet would.

import type { LoadOptions } from "./types.js";

export interface Workload {
  /** Rank of the adapter (default 16). */
  rank?: number;
  /** Sequences at a time (default 16). */
  batch?: number;
  /** Tokens of the longest sequence (default 512). */
  length?: number;
}

/** Bytes that a workload needs on the GPU, and whether anything that is known of the device speaks against it. */
export interface Fit {
  weights: number;
  kv: number;
  activations: number;
  /** The adapter with its gradients and moments. */
  optimizer: number;
  total: number;
  /** The largest single buffer but for weights, which are split, and what the device allows for one. */
  largestBuffer: number;
  largestBufferAllowed: number | null;
  /** Memory that is free on the device, where that is known: browsers do not tell. */
  available: number | null;
  /** False if it exceeds a limit that is known. */
  fits: boolean;
  /** What `fits` rests on, in words. */
  reason: string;
  /** The option that would make it fit. */
  hint: string | null;
}

/** `Fit` of a model of which only headers were read. */
export interface PreFlight extends Fit {
  name: string;
  family: string;
  parameters: number;
  layers: number;
  contextLength: number;
  download: {
    /** Bytes of the model's files on the net; 0 for files that are here. */
    bytes: number;
    /** Those of them that this browser keeps already. */
    kept: number;
    /** What the browser lets this page keep yet; null if it does not say. */
    free: number | null;
  };
  /** Memory of the whole machine as the browser rounds it; it names no more than 8 or 32 GB. Null if it does not say. */
  deviceMemory: number | null;
}

export interface FitOptions extends Workload, Pick<LoadOptions, "contextLength" | "defaultLimits" | "endpoint" | "token" | "signal"> {}
