// The engine in WebAssembly: classes made from what its generated header declares, and arrays in its memory.

import { PageError } from "./errors.js";

const PAGE = 65536;
const MOST_PAGES = 65535; // of shared memory, as the module says
const FIRST_PAGES = 512;
const LEAST_GROWTH = 16 << 20;
const ALIGNMENT = 64; // a cache line

const ARRAYS = {
  uint8: Uint8Array, int8: Int8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array, float64: Float64Array,
};

/** An array in the engine's memory; views of it are made anew, as they break when the memory grows. */
export class EngineArray {
  constructor(memory, dtype, address, length) {
    this.memory = memory;
    this.dtype = dtype;
    this.address = address;
    this.length = length;
  }

  /** The numbers, until the memory grows. */
  get view() {
    return new ARRAYS[this.dtype](this.memory.buffer, this.address, this.length);
  }
}

/**
 * An instance of the engine. It has a property for each class and enumeration of the header; methods begin with a
 * small letter. Memory is given back with the engine as a whole.
 */
export class Engine {
  #free = 0;
  #end = 0;

  /**
   * @param {WebAssembly.Module} module one that imports its memory shares it with threads, see crew.js
   * @param {Object} header functions [name, result, parameters] and enumerations {name: {member: value}}; a type is the
   *   name of a class or of a type of C
   */
  constructor(module, header) {
    const isShared = WebAssembly.Module.imports(module).length > 0;
    const shared = isShared && new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES, shared: true });
    const { exports } = new WebAssembly.Instance(module, isShared ? { env: { memory: shared } } : {});
    exports._initialize();
    this.module = module;
    this.memory = exports.memory ?? shared;
    /** Bytes that the module wants for each thread. */
    this.threadBytes = exports.__tls_size?.value ?? 0;
    for (const [name, members] of Object.entries(header.enumerations)) this[name] = members;
    for (const name of header.classes) this[name] = class extends EngineObject {};
    for (const declared of header.functions) addMethod(this, exports, declared);
    for (const [name, constant, value] of header.constants) this[name][constant] = value;
  }

  /** Returns an array of zeros. */
  array(dtype, length) {
    const size = Math.max(1, length) * ARRAYS[dtype].BYTES_PER_ELEMENT;
    const needed = Math.ceil(size / ALIGNMENT) * ALIGNMENT;
    if (this.#free + needed > this.#end) this.#grow(needed);
    const address = this.#free;
    this.#free += needed;
    return new EngineArray(this.memory, dtype, address, length);
  }

  /** Bytes of memory in use. */
  get bytes() {
    return this.memory.buffer.byteLength;
  }

  /** Adds room for arrays, behind what is left if nothing else has grown the memory since. */
  #grow(needed) {
    const pages = Math.ceil(Math.max(needed, LEAST_GROWTH) / PAGE);
    let start;
    try {
      start = this.memory.grow(pages) * PAGE;
    } catch {
      const used = Math.round(this.bytes / 2 ** 20);
      throw new PageError(`There is no memory for ${Math.round(needed / 2 ** 20)} MB beside ${used} MB: the model is too large for this browser, which allows 4096 MB at most.`);
    }
    if (start !== this.#end) this.#free = start;
    this.#end = start + pages * PAGE;
  }
}

/** An object of the engine, by its address. */
class EngineObject {
  constructor(address) {
    this.address = address ?? this.constructor.create();
  }
}

function addMethod(engine, exports, [name, result, parameters]) {
  const [className, method] = name.split("_");
  const owner = engine[className] ??= class {};
  const call = exports[name];
  if (!call) throw new PageError(`The engine has no function '${name}': the page and the engine do not fit together.`);
  const wrap = engine[result]?.prototype instanceof EngineObject
    ? address => new engine[result](address >>> 0)
    : result === "bool" ? Boolean : value => value;
  const key = method[0].toLowerCase() + method.slice(1);
  if (method === "New") owner.create = () => call() >>> 0;
  else if (method === "Delete") owner.prototype.delete = function () { call(this.address); };
  else if (parameters[0] === className)
    owner.prototype[key] = function (...values) { return wrap(call(this.address, ...values.map(lowered))); };
  else owner[key] = (...values) => wrap(call(...values.map(lowered)));
}

/** Returns what functions take for an array, an object or nothing. */
function lowered(value) {
  return value === null ? 0 : value.address ?? value;
}
