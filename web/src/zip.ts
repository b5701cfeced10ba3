// ZIP archives: written without compression, read with or without it. What is read is bounded, and believed in nothing.

import { StepladderError } from "./errors.js";

export interface Entry {
  name: string;
  /** Bytes of the content. */
  size: number;
  /** The content, checked against its size and checksum. */
  content(): Promise<Uint8Array<ArrayBuffer>>;
}

/** Most files of an archive, and most bytes of one file. */
const MOST_FILES = 100_000;
const MOST_BYTES = 2 ** 30;

const [LOCAL, CENTRAL, END] = [0x04034b50, 0x02014b50, 0x06054b50];
/** Names are UTF-8. */
const UTF8 = 0x800;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc >>> 0;
});

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 255] as number);
  return ~crc >>> 0;
}

/** An archive of `files`, whose contents are asked for one after the other. */
export async function zip(files: readonly { name: string; content: () => Uint8Array | Promise<Uint8Array> }[]): Promise<Blob> {
  const [parts, directory]: [BlobPart[], BlobPart[]] = [[], []];
  let [offset, size] = [0, 0];
  for (const { name, content } of files) {
    // A blob's own copy: the bytes of the next file may take the place of these.
    const bytes = new Uint8Array(await content());
    const path = new TextEncoder().encode(name);
    const common: [number, number][] = [[20, 2], [UTF8, 2], [0, 2], [0, 2], [0x21, 2], [crc32(bytes), 4], [bytes.length, 4], [bytes.length, 4], [path.length, 2], [0, 2]];
    const local = record([LOCAL, 4], ...common);
    const central = record([CENTRAL, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]);
    parts.push(local, path, new Blob([bytes]));
    directory.push(central, path);
    offset += local.length + path.length + bytes.length;
    size += central.length + path.length;
    if (offset + size >= 2 ** 32) throw new StepladderError("usage", "the archive would be larger than 4 GB", "export the adapter of its head instead");
  }
  const end = record([END, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [offset, 4], [0, 2]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

function record(...values: [number, number][]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(values.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of values) {
    if (size === 4) view.setUint32(at, value, true);
    else view.setUint16(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

function damaged(name: string, problem: string): StepladderError {
  return new StepladderError("input", `${name}: ${problem}`, "give a library as it was exported, or its folder as a ZIP file");
}

/** The files of an archive, without its folders. */
export async function unzip(name: string, archive: Blob): Promise<Entry[]> {
  const bad = (problem: string): StepladderError => damaged(name, problem);
  const view = async (start: number, end: number): Promise<DataView> => {
    if (start < 0 || end > archive.size || end < start) throw bad("is cut, or no ZIP archive");
    return new DataView(await archive.slice(start, end).arrayBuffer());
  };
  // The end of the directory stands before a comment of at most 65535 bytes.
  const from = Math.max(0, archive.size - 22 - 65_535);
  const tail = await view(from, archive.size);
  let at = tail.byteLength - 22;
  while (at >= 0 && tail.getUint32(at, true) !== END) at -= 1;
  if (at < 0) throw bad("is cut, or no ZIP archive");
  const [count, size, start] = [tail.getUint16(at + 10, true), tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)];
  if (start === 0xffffffff || count === 0xffff) throw bad("is an archive of the 64-bit format, which is not read");
  if (count > MOST_FILES) throw bad(`has more than ${MOST_FILES} files`);
  const directory = await view(start, start + size);
  const entries: Entry[] = [];
  const seen = new Set<string>();
  let place = 0;
  for (let index = 0; index < count; index += 1) {
    if (place + 46 > directory.byteLength || directory.getUint32(place, true) !== CENTRAL) throw bad("has a damaged directory");
    const short = (offset: number): number => directory.getUint16(place + offset, true);
    const long = (offset: number): number => directory.getUint32(place + offset, true);
    const [flags, method, crc, packed, whole, offset] = [short(8), short(10), long(16), long(20), long(24), long(42)];
    const lengths = [short(28), short(30), short(32)] as const;
    if (place + 46 + lengths[0] > directory.byteLength) throw bad("has a damaged directory");
    const path = new TextDecoder().decode(new Uint8Array(directory.buffer, place + 46, lengths[0]));
    place += 46 + lengths[0] + lengths[1] + lengths[2];
    if (path.endsWith("/")) continue;
    if (seen.has(path)) throw bad(`has ${path} twice`);
    seen.add(path);
    if ((flags & 1) !== 0) throw bad(`${path} is encrypted`);
    if (method !== 0 && method !== 8) throw bad(`${path} is compressed by a method that is not read`);
    if (whole > MOST_BYTES) throw bad(`${path} is larger than ${MOST_BYTES} bytes`);
    const content = async (): Promise<Uint8Array<ArrayBuffer>> => {
      const header = await view(offset, offset + 30);
      if (header.getUint32(0, true) !== LOCAL) throw bad(`${path} is damaged`);
      const begin = offset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
      if (begin + packed > archive.size) throw bad(`${path} is cut`);
      const part = archive.slice(begin, begin + packed);
      const bytes = await bounded(method === 0 ? part.stream() : part.stream().pipeThrough(new DecompressionStream("deflate-raw")), whole).catch(() => undefined);
      if (bytes === undefined || crc32(bytes) !== crc) throw bad(`${path} is damaged: its content is not that of its checksum`);
      return bytes;
    };
    entries.push({ name: path, size: whole, content });
  }
  return entries;
}

/** Exactly `size` bytes of a stream, of which no more is read. */
async function bounded(stream: ReadableStream<Uint8Array>, size: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(size);
  let at = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return at === size ? bytes : undefined;
    if (at + value.length > size) {
      await reader.cancel();
      return undefined;
    }
    bytes.set(value, at);
    at += value.length;
  }
}
