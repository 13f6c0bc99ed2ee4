// A text on its way through the model, stage by stage: what stands in the engine's buffers between them.

import { explainChoice } from "./choices.js";
import { PageError } from "./errors.js";
import { completeOptions } from "./sampler.js";
import { State } from "./state.js";

/** Most tokens of a text that is looked at. */
export const MOST_TOKENS = 64;
const PREDICTIONS = 5; // of a layer

export class Walk {
  #state;
  #model;
  #ids = [];
  #streams = []; // copies of the residual stream (rows, dim): the embedding, and what each layer left

  constructor(model) {
    this.#model = model;
    this.#state = new State(model, MOST_TOKENS, MOST_TOKENS);
  }

  /** Tokens of the text. */
  get ids() {
    return this.#ids;
  }

  /**
   * Runs tokens through all layers; yields after each.
   *
   * @returns {attention, lengths}: probabilities (layers, heads, rows, rows) with which a row looks at another, and
   *   lengths (layers, rows) of the residual stream before the branches "attention" and "feedForward", and of what they add
   */
  *run(ids) {
    if (ids.length === 0) throw new PageError("There is no text.");
    if (ids.length > MOST_TOKENS) throw new PageError(`The text has ${ids.length} tokens; allowed here: ${MOST_TOKENS}.`);
    const { layers, heads } = this.#model.config;
    const { core } = this.#state;
    const rows = ids.length;
    this.#ids = ids;
    this.#state.fill(ids, 0);
    core.prepare(rows);
    core.embed(rows);
    this.#streams = [this.#copy("RESIDUAL")];
    const attention = new Float32Array(layers * heads * rows * rows);
    const lengths = { attention: [], feedForward: [] };
    const runBranch = (name, run) => {
      const before = this.#lengths("RESIDUAL");
      run();
      lengths[name].push({ before, added: this.#lengths("UPDATE") });
    };
    for (let layer = 0; layer < layers; layer++) {
      runBranch("attention", () => core.attentionBranch(layer, rows));
      attention.set(this.#attention(), layer * heads * rows * rows);
      runBranch("feedForward", () => core.feedForwardBranch(layer, rows));
      this.#streams.push(this.#copy("RESIDUAL"));
      yield layer + 1;
    }
    return { attention, lengths };
  }

  /**
   * Looks at one row: its residual stream (layers + 1, dim), and the most probable next tokens if the head came after the
   * embedding or after a layer (nostalgebraist, "interpreting GPT: the logit lens", 2020).
   */
  *look(row) {
    const { dim } = this.#model.config;
    const stream = new Float32Array(this.#streams.length * dim);
    const predictions = [];
    for (const [layer, streams] of this.#streams.entries()) {
      const vector = streams.subarray(row * dim, (row + 1) * dim);
      stream.set(vector, layer * dim);
      predictions.push(mostProbable(this.#predict(vector)));
      yield;
    }
    return { stream, predictions };
  }

  /** Explains how the token after the last would be chosen. */
  choose(given) {
    const { engine, config: { dim } } = this.#model;
    const options = completeOptions(given);
    const numbers = new engine.RandomNumbers();
    numbers.setSeed(BigInt(options.seed));
    const random = numbers.next();
    numbers.delete();
    const recent = options.repeatLastN ? this.#ids.slice(-options.repeatLastN) : [];
    const last = this.#streams.at(-1).subarray((this.#ids.length - 1) * dim);
    return { ...explainChoice(this.#predict(last).slice(), recent, options, random), seed: options.seed };
  }

  /** Returns the logits that the head makes of a vector of the residual stream, until it is called again. */
  #predict(vector) {
    const { core, logitRows, buffers } = this.#state;
    buffers.RESIDUAL.view.set(vector);
    logitRows.view[0] = 0;
    core.head(1);
    return this.#state.read("LOGITS", 0, this.#model.config.vocabSize);
  }

  #copy(buffer) {
    return this.#state.read(buffer, 0, this.#ids.length * this.#model.config.dim).slice();
  }

  #lengths(buffer) {
    const { dim } = this.#model.config;
    return this.#ids.map((_, row) => Math.hypot(...this.#state.read(buffer, row * dim, dim)));
  }

  /** Returns the probabilities (heads, rows, rows) of the layer that has just run, from its queries and keys. */
  #attention() {
    const { heads, kvHeads, headDim } = this.#model.config;
    const rows = this.#ids.length;
    const queries = this.#state.read("QUERY", 0, rows * heads * headDim);
    const keys = this.#state.read("KEY", 0, rows * kvHeads * headDim);
    const result = new Float32Array(heads * rows * rows);
    for (let head = 0; head < heads; head++)
      for (let row = 0; row < rows; row++) {
        const kvHead = Math.floor(head * kvHeads / heads);
        const scores = [];
        for (let other = 0; other <= row; other++) {
          let dot = 0;
          for (let i = 0; i < headDim; i++)
            dot += queries[(row * heads + head) * headDim + i] * keys[(other * kvHeads + kvHead) * headDim + i];
          scores.push(dot / Math.sqrt(headDim));
        }
        result.set(softmax(scores), (head * rows + row) * rows);
      }
    return result;
  }
}

function softmax(scores) {
  const best = scores.reduce((most, score) => Math.max(most, score), -Infinity);
  const powers = scores.map(score => Math.exp(score - best));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map(power => power / total);
}

/** Returns the best tokens as {id, probability}; of equal ones the lowest first. */
function mostProbable(logits) {
  const best = [];
  logits.forEach((logit, id) => {
    if (best.length === PREDICTIONS && logit <= logits[best.at(-1)]) return;
    const place = best.findIndex(other => logit > logits[other]);
    best.splice(place < 0 ? best.length : place, 0, id);
    best.length = Math.min(best.length, PREDICTIONS);
  });
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - logits[best[0]]), 0);
  return best.map(id => ({ id, probability: Math.exp(logits[id] - logits[best[0]]) / total }));
}
