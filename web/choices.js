// How a token is chosen: who survives each step of the sampler, and the random number that decides.
//
// This is what src/sampler.fu does, written for looking at it.

const SHOWN = 8; // candidates of a step

/**
 * Follows the sampler.
 *
 * @param {Float32Array} logits those of the model
 * @param {number[]} recent tokens that the repeat penalty is for
 * @param {Object} options those of `Sampler.start`
 * @param {number} random the number in [0, 1) that the sampler draws
 * @returns {id, steps, random, begin, end}: steps are {name, survivors, best: [{id, probability}]}; the token has the
 *   random numbers from `begin` to `end`, and at temperature 0 `random` is null
 */
export function explainChoice(logits, recent, options, random) {
  const { temperature, topK, topP, minP, repeatPenalty } = options;
  const penalized = penalize(logits, recent, repeatPenalty);
  const ranked = rank(penalized);
  const steps = [step("the model", rank(logits), weigh(logits, 1))];
  if (penalized !== logits) steps.push(step("repeat penalty", ranked, weigh(penalized, 1)));
  if (temperature === 0) return { id: ranked[0], steps, random: null, begin: 0, end: 1 };
  const weights = weigh(penalized, temperature);
  let kept = ranked;
  const keep = (name, count) => {
    kept = kept.slice(0, count);
    steps.push(step(name, kept, weights));
  };
  if (temperature !== 1) keep(`temperature ${temperature}`, kept.length);
  if (topK > 0 && topK < kept.length) keep(`top-k ${topK}`, topK);
  if (topP < 1) keep(`top-p ${topP}`, countUntil(kept, weights, topP * sum(kept, weights)));
  if (minP > 0) {
    const first = kept.findIndex(id => weights[id] < minP * weights[kept[0]]);
    keep(`min-p ${minP}`, first < 0 ? kept.length : first);
  }
  const total = sum(kept, weights);
  let end = 0;
  for (let at = 0; ; at++) {
    const begin = end;
    end += weights[kept[at]] / total;
    if (random < end || at + 1 === kept.length) return { id: kept[at], steps, random, begin, end };
  }
}

/** Returns logits with the repeat penalty (Keskar et al., "CTRL", 2019), the same array if there is none. */
function penalize(logits, recent, penalty) {
  if (penalty === 1 || recent.length === 0) return logits;
  const changed = logits.slice();
  for (const id of new Set(recent)) changed[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  return changed;
}

/** Returns all ids, the most probable first; of equal ones the lowest. */
function rank(logits) {
  return Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
}

/** Returns unnormalized probabilities. */
function weigh(logits, temperature) {
  const best = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  return Float64Array.from(logits, logit => Math.exp((logit - best) / temperature));
}

function sum(ids, weights) {
  return ids.reduce((total, id) => total + weights[id], 0);
}

/** Returns how many of the first ids have enough of the probability. */
function countUntil(ids, weights, enough) {
  let count = 0;
  for (let mass = 0; count < ids.length && (count === 0 || mass < enough); count++) mass += weights[ids[count]];
  return count;
}

function step(name, ids, weights) {
  const total = sum(ids, weights);
  return { name, survivors: ids.length, best: ids.slice(0, SHOWN).map(id => ({ id, probability: weights[id] / total })) };
}
