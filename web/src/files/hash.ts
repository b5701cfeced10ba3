// SHA-256 in pieces (FIPS 180-4): the browser's own digest takes only whole buffers, and a model does not fit one.

const BLOCK = 64;

/** The first 32 bits of the fractional parts of roots of the first primes, from which the standard takes its constants. */
function roots(count: number, root: (prime: number) => number): Int32Array {
  const words = new Int32Array(count);
  for (let candidate = 2, found = 0; found < count; candidate += 1) {
    let prime = true;
    for (let divisor = 2; divisor * divisor <= candidate; divisor += 1) prime &&= candidate % divisor !== 0;
    if (prime) words[found++] = (root(candidate) % 1) * 2 ** 32;
  }
  return words;
}

const START = roots(8, Math.sqrt);
const ROUND = roots(64, Math.cbrt);

/** A digest that grows with the file. */
export class StreamingHash {
  readonly #state = START.slice();
  readonly #rest = new Uint8Array(BLOCK);
  readonly #schedule = new Int32Array(BLOCK);
  #length = 0;

  update(bytes: Uint8Array): void {
    let at = 0;
    const filled = this.#length % BLOCK;
    this.#length += bytes.length;
    if (filled > 0) {
      at = Math.min(BLOCK - filled, bytes.length);
      this.#rest.set(bytes.subarray(0, at), filled);
      if (filled + at < BLOCK) return;
      this.#blocks(this.#rest, 0, BLOCK);
    }
    const end = bytes.length - ((bytes.length - at) % BLOCK);
    this.#blocks(bytes, at, end);
    this.#rest.set(bytes.subarray(end));
  }

  /** Lower-case hexadecimal digits; the hash takes nothing afterwards. */
  hex(): string {
    const bits = BigInt(this.#length) * 8n;
    const filled = this.#length % BLOCK;
    const padding = new Uint8Array((filled < BLOCK - 8 ? BLOCK : 2 * BLOCK) - filled);
    padding[0] = 0x80;
    new DataView(padding.buffer).setBigUint64(padding.length - 8, bits);
    this.update(padding);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #blocks(bytes: Uint8Array, from: number, to: number): void {
    const [state, w] = [this.#state, this.#schedule];
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
    for (let at = from; at < to; at += BLOCK) {
      for (let i = 0; i < 16; i += 1) {
        const j = at + 4 * i;
        w[i] = (bytes[j]! << 24) | (bytes[j + 1]! << 16) | (bytes[j + 2]! << 8) | bytes[j + 3]!;
      }
      for (let i = 16; i < 64; i += 1) {
        const [x, y] = [w[i - 15]!, w[i - 2]!];
        const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        w[i] = (w[i - 16]! + low + w[i - 7]! + high) | 0;
      }
      for (let i = 0; i < 64; i += 1) {
        const big = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const one = (h + big + ((e & f) ^ (~e & g)) + ROUND[i]! + w[i]!) | 0;
        const small = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const two = (small + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g;
        g = f;
        f = e;
        e = (d + one) | 0;
        d = c;
        c = b;
        b = a;
        a = (one + two) | 0;
      }
      state[0] = a = (state[0]! + a) | 0;
      state[1] = b = (state[1]! + b) | 0;
      state[2] = c = (state[2]! + c) | 0;
      state[3] = d = (state[3]! + d) | 0;
      state[4] = e = (state[4]! + e) | 0;
      state[5] = f = (state[5]! + f) | 0;
      state[6] = g = (state[6]! + g) | 0;
      state[7] = h = (state[7]! + h) | 0;
    }
  }
}

/** More than this is not read at once for git's digest; what git itself holds of a model is small. */
const MOST_GIT = 64 << 20;

/** Git's digest of a file, `sha1("blob SIZE\\0" CONTENT)`; undefined where the browser has no SHA-1, or the file is large. */
export async function gitBlob(size: number, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string | undefined> {
  if (size > MOST_GIT || globalThis.crypto?.subtle === undefined) return undefined;
  const head = new TextEncoder().encode(`blob ${size}\0`);
  const whole = new Uint8Array(head.length + size);
  whole.set(head);
  let at = head.length;
  for await (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", whole));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Digest of a short text, as file names are made of it. */
export function hashText(text: string): string {
  const hash = new StreamingHash();
  hash.update(new TextEncoder().encode(text));
  return hash.hex();
}
