// SHA-256 in pieces: the browser's own digest takes only whole buffers, and a model does not fit one.

import { sha256 } from "@noble/hashes/sha2.js";

/** A digest that grows with the file. */
export class StreamingHash {
  readonly #hash = sha256.create();

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** Lower-case hexadecimal digits; the hash takes nothing afterwards. */
  hex(): string {
    return hex(this.#hash.digest());
  }
}

/** Digest of a short text, as file names are made of it. */
export function hashText(text: string): string {
  return hex(sha256(new TextEncoder().encode(text)));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
