// Weights in an engine.

import { checkTensors, readConfig } from "./config.js";
import { PageError } from "./errors.js";
import { readGguf } from "./gguf.js";
import { readRope } from "./rope.js";

const LARGEST_CONTEXT = 4096;
const F32 = 0, F16 = 1, BF16 = 30;

/** A model whose weights the engine has. */
export class Model {
  /**
   * Reads a GGUF file into an engine. Matrices are packed for the engine's kernels, and their stored bytes are let go.
   *
   * @param {Engine} engine
   * @param {Blob} file
   * @param {Object} types tensor types by ggml's numbers
   * @param {(done: number, total: number) => void} onProgress
   */
  static async load(engine, file, types, onProgress) {
    const gguf = await readGguf(file, types);
    const config = readConfig(gguf);
    const model = new Model(engine, gguf.metadata, config);
    const read = tensor => file.slice(tensor.start, tensor.start + tensor.size).arrayBuffer();
    await model.#setShape(gguf.tensors, read);
    await model.#setTensors(checkTensors(config, gguf.tensors), read, onProgress);
    return model;
  }

  constructor(engine, metadata, config) {
    const { MAX_LAYERS, MAX_HEAD_DIM } = engine.Llama3Model;
    if (config.layers > MAX_LAYERS) throw new PageError(`The model has ${config.layers} layers; the engine allows ${MAX_LAYERS}.`);
    if (config.headDim > MAX_HEAD_DIM) throw new PageError(`The heads are ${config.headDim} wide; the engine allows ${MAX_HEAD_DIM}.`);
    this.engine = engine;
    this.metadata = metadata;
    this.config = config;
    /** How many tokens a session can hold. */
    this.context = Math.min(config.context, LARGEST_CONTEXT);
    this.core = new engine.Llama3Model();
  }

  async #setShape(tensors, read) {
    const { engine, config, core } = this;
    core.setShape(config.dim, config.hiddenDim, config.layers, config.heads, config.kvHeads, config.headDim,
      config.vocabSize, config.normEps);
    const readFloats = async name => {
      const tensor = tensors.get(name);
      if (tensor && tensor.type !== F32) throw new PageError(`Tensor '${name}' is not of the type F32.`);
      return tensor && new Float32Array(await read(tensor));
    };
    const { divisors, magnitude } = await readRope(this.metadata, config, readFloats, this.context);
    const factors = engine.array("float32", divisors.length);
    factors.view.set(divisors);
    core.setRope(engine.RopeStyle.INTERLEAVED, config.theta, factors, magnitude);
  }

  async #setTensors(tensors, read, onProgress) {
    const total = tensors.reduce((sum, { size }) => sum + size, 0);
    const isTied = !tensors.some(({ name }) => name === "output.weight");
    const scratch = this.engine.array("uint8", Math.max(...tensors.filter(isPacked).map(({ size }) => size)));
    let done = 0;
    for (const tensor of tensors) {
      const bytes = new Uint8Array(await read(tensor));
      const room = isPacked(tensor) ? scratch : this.engine.array("uint8", tensor.size);
      room.view.set(bytes);
      if (tensor.shape.length === 1) this.#setVector(tensor, room);
      else this.#setMatrix(tensor, tensor.name, room);
      if (isTied && tensor.name === "token_embd.weight") this.#setMatrix(tensor, "output.weight", room);
      done += tensor.size;
      onProgress(done, total);
    }
  }

  /** Hands a vector to the engine, which wants them as floats. */
  #setVector({ name, type, shape }, stored) {
    const { engine } = this;
    const target = this.#find(name);
    let floats = stored;
    if (type !== F32) {
      const tensor = new engine.Tensor();
      tensor.set(type, 1, shape[0], ...storedAs(type, stored));
      floats = engine.array("float32", shape[0]);
      tensor.dequantize(floats, 0, 0, shape[0]);
      tensor.delete();
    }
    if (name.endsWith(".bias")) target.setBias(floats);
    else target.set(F32, 1, shape[0], floats, null, null);
  }

  /** Hands a matrix to the engine under a name, which may be another one than that of the tensor. */
  #setMatrix({ type, shape }, name, stored) {
    const target = this.#find(name);
    target.set(type, ...shape, ...storedAs(type, stored));
    if (!isPacked({ name, shape })) return;
    const length = target.getPackedLength();
    if (type === F32) target.setPacked(null, this.engine.array("float32", length));
    else target.setPacked(this.engine.array("int16", length), null);
    target.pack(0, 1);
  }

  /** Returns the engine's tensor that belongs to a name like "blk.0.attn_q.weight" or "output.weight". */
  #find(name) {
    const parts = name.split(".");
    const layer = parts[0] === "blk" ? Number(parts[1]) : 0;
    return this.core.getTensor(this.engine.TensorId[parts.at(-2).toUpperCase()], layer);
  }
}

/** Returns the arguments for `Tensor.set`: floats, halves and blocks, all null but one. */
function storedAs(type, stored) {
  const position = type === F32 ? 0 : type === F16 || type === BF16 ? 1 : 2;
  return [0, 1, 2].map(at => at === position ? stored : null);
}

/** Returns whether a tensor is a matrix that vectors are multiplied with. */
function isPacked({ name, shape }) {
  return shape.length === 2 && name !== "token_embd.weight";
}
