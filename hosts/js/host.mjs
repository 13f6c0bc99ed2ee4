// Runs tokens through a model, stage by stage: node host.mjs MODEL.flat TOKEN... > RESULT
// Both files are described in hosts/README.md.
import fs from "node:fs";
import { Buffer, Llama3Model, Llama3State, TensorType } from "./llama3.mjs";

const [modelPath, ...words] = process.argv.slice(2);
const { buffer } = new Uint8Array(fs.readFileSync(modelPath)); // a copy, which begins at byte 0
let at = 0;

function read(Type, count) {
  const data = new Type(buffer, at, count);
  at += data.byteLength;
  return data;
}

const [normEps, theta, magnitude] = read(Float64Array, 3);
const [dim, hiddenDim, layers, heads, kvHeads, headDim, vocabSize, ropeStyle, records] = read(Int32Array, 9);
const model = new Llama3Model();
model.setShape(dim, hiddenDim, layers, heads, kvHeads, headDim, vocabSize, normEps);
model.setRope(ropeStyle, theta, read(Float32Array, headDim / 2), magnitude);
for (let record = 0; record < records; record++) {
  const [id, layer, kind, type, rows, cols, size] = read(Int32Array, 7);
  const floats = type === TensorType.F32 ? read(Float32Array, size / 4) : null;
  const tensor = model.getTensor(id, layer);
  if (kind === 1) tensor.setBias(floats);
  else tensor.set(type, rows, cols, floats, null, floats ? null : read(Uint8Array, size));
  if (kind !== 2) continue;
  const length = tensor.getPackedLength();
  tensor.setPacked(floats ? null : new Int16Array(length), floats ? new Float32Array(length) : null);
  tensor.pack(0, 1);
}

const state = new Llama3State();
const count = words.length;
state.init(model, count, 1, count, 1);
const cache = state.getCache();
cache.setMemory(new Float32Array(cache.getKeysLength()), new Float32Array(cache.getValuesLength()));
const buffers = Object.values(Buffer).filter(Number.isInteger).map(id => new Float32Array(state.getBufferLength(id)));
buffers.forEach((data, id) => state.setBuffer(id, data));
const rows = Int32Array.from(words.keys());
state.setBatch(Int32Array.from(words), rows, new Int32Array(count), rows);

function write(id) {
  const bytes = new Uint8Array(buffers[id].buffer);
  for (let done = 0; done < bytes.length;) done += fs.writeSync(1, bytes, done); // as much as a pipe takes
}

state.prepare(count);
state.embed(count);
write(Buffer.RESIDUAL);
for (let layer = 0; layer < layers; layer++) {
  state.attentionBranch(layer, count);
  write(Buffer.RESIDUAL);
  state.feedForwardBranch(layer, count);
  write(Buffer.RESIDUAL);
}
state.head(count);
write(Buffer.LOGITS);
