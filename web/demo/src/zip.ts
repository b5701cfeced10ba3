// An adapter's two files in one download.

import { zip } from "../../src/zip.js";

export function zipped(files: readonly { name: string; bytes: Uint8Array }[]): Promise<Blob> {
  return zip(files.map(({ name, bytes }) => ({ name, content: () => bytes })));
}
