// The GGUF container, versions 2 and 3 (ggml-org/ggml, docs/gguf.md): metadata, and where the tensors are.

import { PageError } from "./errors.js";

const MAGIC = 0x46554747; // "GGUF"
const FIRST_BYTES = 8 << 20; // of a file are read at first; headers with longer vocabularies are read again
const DEFAULT_ALIGNMENT = 32;
const STRING = 8, ARRAY = 9;

const NUMBERS = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  7: [1, (view, at) => view.getUint8(at) !== 0],
  10: [8, (view, at) => Number(view.getBigUint64(at, true))],
  11: [8, (view, at) => Number(view.getBigInt64(at, true))],
  12: [8, (view, at) => view.getFloat64(at, true)],
};

/** The header goes on behind the bytes that were read. */
class EndOfBytes extends Error {}

/**
 * Reads the header of a file.
 *
 * @param {Blob} file
 * @param {Object<number, {name: string, blockSize: number, blockBytes: number}>} types tensor types by ggml's numbers
 * @returns metadata: Map of keys to values; tensors: Map of names to {name, type, shape, start, size}, where shapes are
 *   [rows, columns] or [columns], and start is a byte of the file
 */
export async function readGguf(file, types) {
  for (let size = FIRST_BYTES; ; size *= 4) {
    const bytes = await file.slice(0, size).arrayBuffer();
    try {
      return readHeader(new Reader(bytes), types, file.size);
    } catch (error) {
      if (!(error instanceof EndOfBytes)) throw error;
      if (size >= file.size) throw new PageError(`The file ends within its header, at byte ${file.size}: is it complete?`);
    }
  }
}

function readHeader(reader, types, fileSize) {
  if (reader.u32() !== MAGIC) throw new PageError("This is not a GGUF file: it does not begin with 'GGUF'.");
  const version = reader.u32();
  if (version !== 2 && version !== 3) throw new PageError(`The file is GGUF version ${version}; supported: 2, 3.`);
  const tensorCount = reader.u64();
  const entries = reader.u64();
  const metadata = new Map();
  for (let i = 0; i < entries; i++) metadata.set(reader.string(), reader.value(reader.u32()));
  const infos = [];
  for (let i = 0; i < tensorCount; i++) infos.push(readTensorInfo(reader));
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  const start = Math.ceil(reader.at / alignment) * alignment;
  const tensors = new Map(infos.map(info => [info.name, placed(info, start, types, fileSize)]));
  return { metadata, tensors };
}

function readTensorInfo(reader) {
  const name = reader.string();
  const dimensions = reader.u32();
  if (dimensions < 1 || dimensions > 4) throw new PageError(`Tensor '${name}' has ${dimensions} dimensions; allowed: 1 to 4.`);
  const shape = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(reader.u64());
  return { name, shape, type: reader.u32(), offset: reader.u64() };
}

/** Returns a tensor with its place in the file. */
function placed({ name, shape, type, offset }, dataStart, types, fileSize) {
  const kind = types[type];
  if (!kind) {
    const supported = Object.values(types).map(known => known.name).join(", ");
    throw new PageError(`Tensor '${name}' has type number ${type}; supported: ${supported}.`);
  }
  const columns = shape.at(-1);
  if (columns % kind.blockSize)
    throw new PageError(`Tensor '${name}' has rows of ${columns} values; ${kind.name} needs a multiple of ${kind.blockSize}.`);
  const size = shape.reduce((product, n) => product * n, 1) / kind.blockSize * kind.blockBytes;
  const start = dataStart + offset;
  if (start + size > fileSize)
    throw new PageError(`Tensor '${name}' ends at byte ${start + size}, the file has ${fileSize}: is it complete?`);
  return { name, type, shape, start, size };
}

/** A position in bytes, which never leaves them. */
class Reader {
  at = 0;
  #view;
  #decoder = new TextDecoder();

  constructor(bytes) {
    this.#view = new DataView(bytes);
  }

  u32() {
    return this.#number(4);
  }

  u64() {
    return this.#number(10);
  }

  string() {
    const length = this.u64();
    const start = this.#take(length);
    return this.#decoder.decode(new Uint8Array(this.#view.buffer, start, length));
  }

  value(type) {
    if (type === STRING) return this.string();
    if (type !== ARRAY) return this.#number(type);
    const elementType = this.u32();
    const length = this.u64();
    const values = [];
    for (let i = 0; i < length; i++) values.push(this.value(elementType));
    return values;
  }

  #number(type) {
    const known = NUMBERS[type];
    if (!known) throw new PageError(`The metadata has a value of type ${type}; allowed: 0 to 12.`);
    const [size, read] = known;
    return read(this.#view, this.#take(size));
  }

  #take(size) {
    const start = this.at;
    if (size > this.#view.byteLength - start) throw new EndOfBytes();
    this.at = start + size;
    return start;
  }
}
