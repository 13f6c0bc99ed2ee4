// Hyper-parameters of a Llama model from the metadata of its GGUF file, and whether its tensors fit to them.

import { PageError } from "./errors.js";

const EMBEDDING = "token_embd.weight";
const OPTIONAL = name => name === "output.weight" || name.endsWith(".bias");

/** Returns the hyper-parameters, of which the engine has the names. */
export function readConfig({ metadata, tensors }) {
  const architecture = metadata.get("general.architecture");
  if (architecture !== "llama") throw new PageError(`The model is of the architecture '${architecture}'; allowed: 'llama'.`);
  if (metadata.get("llama.expert_count")) throw new PageError("The model is a mixture of experts, which is not supported.");
  if ((metadata.get("split.count") ?? 1) > 1) throw new PageError("The model is split over several files; one file is needed.");
  const size = (key, fallback) => readSize(metadata, `llama.${key}`, fallback);
  const dim = size("embedding_length");
  const heads = size("attention.head_count");
  const headDim = size("attention.key_length", Math.floor(dim / heads));
  for (const key of ["attention.value_length", "rope.dimension_count"])
    if (size(key, headDim) !== headDim) throw new PageError(`llama.${key} is ${size(key)}; allowed: ${headDim}, as wide as a head.`);
  const embedding = tensors.get(EMBEDDING);
  if (!embedding) throw new PageError(`The model has no tensor '${EMBEDDING}'.`);
  const config = {
    name: metadata.get("general.name") ?? "",
    dim,
    heads,
    headDim,
    kvHeads: size("attention.head_count_kv", heads),
    layers: size("block_count"),
    hiddenDim: size("feed_forward_length"),
    vocabSize: embedding.shape[0],
    context: size("context_length"),
    normEps: metadata.get("llama.attention.layer_norm_rms_epsilon") ?? 1e-5,
    theta: metadata.get("llama.rope.freq_base") ?? 10000,
  };
  if (config.heads % config.kvHeads)
    throw new PageError(`The model has ${config.kvHeads} key and value heads; allowed: a divisor of its ${config.heads} heads.`);
  if (config.headDim % 2) throw new PageError(`The head dimension is ${config.headDim}; it must be even.`);
  return config;
}

/** Returns a positive integer, which files may repeat for every layer. */
function readSize(metadata, key, fallback) {
  let value = metadata.get(key) ?? fallback;
  if (Array.isArray(value) && value.every(ofLayer => ofLayer === value[0])) value = value[0];
  if (!Number.isInteger(value) || value < 1 || value >= 2 ** 31)
    throw new PageError(`${key} is ${value ?? "missing"}; an integer from 1 on is needed, the same for all layers.`);
  return value;
}

/** Returns the tensors of a Llama model in the order in which they are used. */
export function checkTensors(config, tensors) {
  const checked = [];
  for (const [name, shape] of expectedShapes(config)) {
    const tensor = tensors.get(name);
    if (!tensor && !OPTIONAL(name)) throw new PageError(`The model has no tensor '${name}'.`);
    if (tensor && String(tensor.shape) !== String(shape))
      throw new PageError(`Tensor '${name}' has shape (${tensor.shape}); the metadata asks for (${shape}).`);
    if (tensor) checked.push(tensor);
  }
  return checked;
}

function* expectedShapes({ dim, hiddenDim, heads, kvHeads, headDim, layers, vocabSize }) {
  const matrices = {
    attn_q: [heads * headDim, dim],
    attn_k: [kvHeads * headDim, dim],
    attn_v: [kvHeads * headDim, dim],
    attn_output: [dim, heads * headDim],
    ffn_gate: [hiddenDim, dim],
    ffn_up: [hiddenDim, dim],
    ffn_down: [dim, hiddenDim],
  };
  yield [EMBEDDING, [vocabSize, dim]];
  yield ["output.weight", [vocabSize, dim]];
  for (let layer = 0; layer < layers; layer++) {
    for (const norm of ["attn_norm", "ffn_norm"]) yield [`blk.${layer}.${norm}.weight`, [dim]];
    for (const [matrix, shape] of Object.entries(matrices)) {
      yield [`blk.${layer}.${matrix}.weight`, shape];
      yield [`blk.${layer}.${matrix}.bias`, [shape[0]]];
    }
  }
  yield ["output_norm.weight", [dim]];
}
