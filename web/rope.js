// RoPE scaling: how contexts longer than those of the training turn into divisors of the rotation angles.

import { PageError } from "./errors.js";

const SCALING = "llama.rope.scaling.";
const KINDS = ["none", "linear", "yarn", "longrope", "llama3"];

/**
 * Returns what multiplies rotated queries and keys, and what divides the angles (headDim / 2 numbers).
 *
 * @param {Map} metadata
 * @param {{headDim: number, theta: number, context: number}} shape
 * @param {(name: string) => Promise<Float32Array|undefined>} readFloats reads an F32 tensor
 * @param {number} wanted tokens of context, on which LongRoPE depends
 */
export async function readRope(metadata, { headDim, theta, context }, readFloats, wanted) {
  const get = (key, fallback) => metadata.get(SCALING + key) ?? fallback;
  const kind = get("type", "linear");
  if (!KINDS.includes(kind)) throw new PageError(`${SCALING}type is '${kind}'; allowed: ${KINDS.join(", ")}.`);
  const original = get("original_context_length", context);
  const tensor = kind !== "longrope" ? "rope_freqs.weight"
    : wanted > original ? "rope_factors_long.weight" : "rope_factors_short.weight";
  const stored = await readFloats(tensor);
  if (!stored && (kind === "llama3" || kind === "longrope"))
    throw new PageError(`${SCALING}type is '${kind}', but there is no tensor '${tensor}'.`);
  if (stored && stored.length !== headDim / 2)
    throw new PageError(`Tensor '${tensor}' has ${stored.length} numbers; allowed: ${headDim / 2}.`);
  let divisors = stored ?? new Float32Array(headDim / 2).fill(1);
  let magnitude = get("attn_factor", 1);
  const factor = get("factor", metadata.get("llama.rope.scale_linear") ?? 0);
  if (kind === "linear" && factor !== 0) divisors = divisors.map(divisor => divisor * Math.fround(factor));
  if (kind === "yarn") {
    const scaling = {
      factor, original, fast: get("yarn_beta_fast", 32), slow: get("yarn_beta_slow", 1),
    };
    divisors = divisors.map((divisor, pair) => divisor * Math.fround(yarnDivisor(pair, scaling, headDim, theta)));
    magnitude *= 1 + 0.1 * Math.log(Math.max(1, factor));
  }
  return { divisors, magnitude };
}

/** Peng et al., "YaRN: Efficient Context Window Extension", 2023, section 3. */
function yarnDivisor(pair, { factor, original, fast, slow }, headDim, theta) {
  const pairThatTurns = times => headDim * Math.log(original / (times * 2 * Math.PI)) / (2 * Math.log(theta));
  const low = Math.max(0, Math.floor(pairThatTurns(fast)));
  const high = Math.min(headDim - 1, Math.ceil(pairThatTurns(slow)));
  const ramp = (pair - low) / Math.max(0.001, high - low);
  const kept = 1 - Math.min(1, Math.max(0, ramp));
  return 1 / ((1 - kept) / factor + kept);
}
