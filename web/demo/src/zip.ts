// A ZIP archive without compression, for an adapter's two files in one download.

const encoder = new TextEncoder();

export function zip(files: { name: string; bytes: Uint8Array }[]): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const path = encoder.encode(name);
    const common = [20, 0, 0, 0, 0x21, crc32(bytes), bytes.length, bytes.length, path.length, 0] as const;
    const local = record([0x04034b50, 4], ...fields(common));
    directory.push(record([0x02014b50, 4], [20, 2], ...fields(common), [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), path);
    parts.push(local, path, new Uint8Array(bytes));
    offset += local.length + path.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [offset, 4], [0, 2]);
  return [...parts, ...directory, end];
}

/** Version, flags, method, time, date, checksum, sizes, lengths of name and extra field, in both kinds of header. */
function fields(values: readonly number[]): [number, number][] {
  return values.map((value, index) => [value, index >= 5 && index <= 7 ? 4 : 2]);
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

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
