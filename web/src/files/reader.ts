// Synchronous reading of slices: WASM asks for a tensor's bytes and gets them in the same call.

import { StepladderError, describe } from "../errors.js";

/** A file of a model. */
export interface OpenedFile {
  name: string;
  size: number;
  /** Fills `into` from `offset` on. */
  readAt(offset: number, into: Uint8Array): void;
}

declare const FileReaderSync: undefined | (new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer });

/**
 * Opens a blob. In a browser's worker nothing is read before it is asked for; elsewhere (Node) blobs have no synchronous
 * reader and the bytes are held, outside of the WASM heap.
 */
export async function openBlob(name: string, blob: Blob): Promise<OpenedFile> {
  if (typeof FileReaderSync === "undefined") return held(name, new Uint8Array(await blob.arrayBuffer()));
  const reader = new FileReaderSync();
  return {
    name,
    size: blob.size,
    readAt(offset, into) {
      checkRange(name, blob.size, offset, into.length);
      try {
        into.set(new Uint8Array(reader.readAsArrayBuffer(blob.slice(offset, offset + into.length))));
      } catch (error) {
        const hint = "choose the file again; if it came from a download, delete it from the store and load it again";
        throw new StepladderError("storage", `${name} cannot be read any more (${describe(error)})`, hint, { cause: error });
      }
    },
  };
}

function held(name: string, bytes: Uint8Array): OpenedFile {
  return {
    name,
    size: bytes.length,
    readAt(offset, into) {
      checkRange(name, bytes.length, offset, into.length);
      into.set(bytes.subarray(offset, offset + into.length));
    },
  };
}

function checkRange(name: string, size: number, offset: number, length: number): void {
  if (Number.isSafeInteger(offset) && offset >= 0 && offset + length <= size) return;
  throw new StepladderError(
    "input",
    `${name} has ${size} bytes, and bytes ${offset} to ${offset + length} were asked for`,
    "the file is cut off or damaged; get it again",
  );
}
