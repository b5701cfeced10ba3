// What Node lacks of a browser: WebGPU (the npm package `webgpu`), a few globals, and files. Nothing here is reached in a browser.

import { StepladderError } from "./errors.js";
import type { OpenedFile } from "./files/index.js";

/** The one import of Node's modules that a bundler for browsers does not try to follow. */
function builtin<Module>(name: string): Module {
  const found = process.getBuiltinModule(name) as Module | undefined;
  if (found === undefined) throw new StepladderError("internal", `Node has no module ${name}`, "use Node 20.16 or later");
  return found;
}

declare const process: { versions?: { node?: string }; getBuiltinModule(name: string): unknown };

/** Whether this is Node and not a browser. */
export function isNode(): boolean {
  return typeof process !== "undefined" && typeof process.versions?.node === "string" && !("document" in globalThis);
}

/** Dawn's instance must outlive its devices. */
let dawn: GPU | undefined;

/** Gives Node what the engine looks for in a browser. */
export async function prepare(): Promise<void> {
  if (dawn !== undefined) return;
  // A bundler must not look for this optional package.
  const name = "webgpu";
  let module: { create(options: string[]): GPU; globals: object };
  try {
    module = (await import(/* @vite-ignore */ name)) as typeof module;
  } catch (cause) {
    throw new StepladderError("no_webgpu", "Node needs the package `webgpu`", "npm install webgpu", { cause });
  }
  Object.assign(globalThis, module.globals);
  dawn = module.create([]);
  if (!("navigator" in globalThis)) Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
  Object.defineProperty(globalThis.navigator, "gpu", { value: dawn, configurable: true });
  if (!("Window" in globalThis)) {
    // wgpu asks whether the global object is a window before it looks for `navigator.gpu` there.
    const Window = class {
      static [Symbol.hasInstance](object: unknown): boolean {
        return object === globalThis;
      }
    };
    Object.defineProperty(globalThis, "Window", { value: Window, configurable: true });
  }
}

interface FileSystem {
  readFileSync(path: string | URL): Uint8Array;
  statSync(path: string): { isDirectory(): boolean; size: number };
  readdirSync(path: string): string[];
  openSync(path: string, flags: string): number;
  readSync(file: number, into: Uint8Array, start: number, length: number, offset: number): number;
  closeSync(file: number): void;
}

/** The bytes of a file of this package. */
export function packageFile(url: URL): Uint8Array {
  return builtin<FileSystem>("node:fs").readFileSync(url);
}

/** The files of the folder, or the file, at `path`; undefined if there is nothing. */
export function openPath(path: string): { name: string; files: OpenedFile[]; close(): void } | undefined {
  const fs = builtin<FileSystem>("node:fs");
  const { join, basename } = builtin<{ join(...parts: string[]): string; basename(path: string): string }>("node:path");
  let names: string[];
  try {
    names = fs.statSync(path).isDirectory() ? fs.readdirSync(path).map((name) => join(path, name)) : [path];
  } catch {
    return undefined;
  }
  const open: number[] = [];
  const files = names
    .filter((name) => !fs.statSync(name).isDirectory())
    .map((name) => {
      const handle = fs.openSync(name, "r");
      open.push(handle);
      const readAt = (offset: number, into: Uint8Array): void => {
        for (let done = 0; done < into.length; ) {
          const read = fs.readSync(handle, into, done, into.length - done, offset + done);
          if (read === 0) throw new Error(`${name} ends before byte ${offset + into.length}`);
          done += read;
        }
      };
      return { name: basename(name), size: fs.statSync(name).size, readAt };
    });
  return { name: path, files, close: () => open.forEach((handle) => fs.closeSync(handle)) };
}
