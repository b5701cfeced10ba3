// Calls the functions of `src/files` for a test's page and answers with what plain messages can hold.
import { cacheSize, listCached, openSource, removeCached } from "../src/files/index.js";
import type { LoadProgress, Source } from "../src/types.js";

interface Call {
  id: number;
  call: "open" | "list" | "size" | "remove" | "damage" | "abort";
  source: Source;
  options?: { cache?: boolean; refresh?: boolean; endpoint?: string; token?: string; abortAt?: number };
}

addEventListener("message", async ({ data }: MessageEvent<Call>) => {
  try {
    postMessage({ id: data.id, value: await answer(data) });
  } catch (error) {
    const { name, code, message, hint } = error as { name: string; code: string; message: string; hint: string };
    postMessage({ id: data.id, error: { name, code, message, hint } });
  }
});

async function answer({ call, source, options = {} }: Call): Promise<unknown> {
  if (call === "list") return listCached();
  if (call === "size") return cacheSize();
  if (call === "remove") return removeCached(String(source));
  if (call === "damage") return damage();
  const { abortAt, ...rest } = options;
  const abort = new AbortController();
  const progress: LoadProgress[] = [];
  const onProgress = (step: LoadProgress) => {
    progress.push(step);
    if (abortAt !== undefined && step.done >= abortAt) abort.abort();
  };
  const opened = await openSource(source, { ...rest, onProgress, signal: abort.signal });
  const files = [];
  for (const { name, size, readAt } of opened.files) {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 70_001) readAt(at, bytes.subarray(at, Math.min(size, at + 70_001)));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    files.push({ name, size, digest: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") });
  }
  let beyond = "";
  try {
    opened.files[0]?.readAt(opened.files[0].size - 1, new Uint8Array(2));
  } catch (error) {
    beyond = (error as { code: string }).code;
  }
  opened.close();
  return { name: opened.name, files, progress, beyond };
}

/** Flips a byte in the middle of each weights file that is kept. */
async function damage(): Promise<number> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("stepladder-models");
  let count = 0;
  for await (const folder of root.values()) {
    for await (const file of (folder as FileSystemDirectoryHandle).values()) {
      if (!/\.(gguf|safetensors)$/.test(file.name)) continue;
      // @ts-expect-error: declared for programs that are workers and nothing else
      const access = await file.createSyncAccessHandle();
      access.write(new Uint8Array([255 - count]), { at: 1000 });
      access.close();
      count += 1;
    }
  }
  return count;
}
