// How the next token is chosen: the engine's sampler with its working memory.

import { PageError } from "./errors.js";

/** The defaults are those of `pyllama3 run`. */
export const DEFAULT_OPTIONS = {
  temperature: 0.6, topK: 0, topP: 0.9, minP: 0, repeatPenalty: 1, repeatLastN: 64, seed: null,
};

const RANGES = {
  temperature: ["0 or more", x => x >= 0],
  topK: ["an integer from 0 on", x => Number.isInteger(x) && x >= 0 && x < 2 ** 31],
  topP: ["more than 0, at most 1", x => x > 0 && x <= 1],
  minP: ["0 to 1", x => x >= 0 && x <= 1],
  repeatPenalty: ["more than 0", x => x > 0],
  repeatLastN: ["an integer from 0 on", x => Number.isInteger(x) && x >= 0],
  seed: ["an integer from 0 on, or nothing", x => x === null || (Number.isSafeInteger(x) && x >= 0)],
};

/** Returns all options, of which some may be given; a seed that is not is a random one. */
export function completeOptions(given) {
  const options = { ...DEFAULT_OPTIONS, ...given };
  for (const [name, [allowed, isAllowed]] of Object.entries(RANGES))
    if (options[name] !== null && !Number.isFinite(options[name]) || !isAllowed(options[name]))
      throw new PageError(`${name} is ${options[name]}; allowed: ${allowed}.`);
  return { ...options, seed: options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] };
}

/** A sampler, which may be used for one text after the other. */
export class Sampler {
  #core;
  #recent;
  #window = 0;

  constructor(engine, vocabSize) {
    this.#core = new engine.Sampler();
    this.#core.setBuffers(engine.array("int32", vocabSize), engine.array("float64", vocabSize), vocabSize);
    this.engine = engine;
    this.#recent = engine.array("int32", 1);
  }

  /** Begins a text with options of `completeOptions`. */
  start({ temperature, topK, topP, minP, repeatPenalty, repeatLastN, seed }) {
    this.#core.setOptions(temperature, topK, topP, minP, repeatPenalty);
    this.#core.setSeed(BigInt(seed));
    this.#window = repeatPenalty === 1 ? 0 : repeatLastN;
    if (this.#window > this.#recent.length) this.#recent = this.engine.array("int32", this.#window);
  }

  /** Returns the token chosen by logits, an array of the engine which the penalty changes, after some tokens. */
  sample(logits, ids) {
    const recent = this.#window ? ids.slice(-this.#window) : [];
    this.#recent.view.set(recent);
    const id = this.#core.sample(logits, this.#recent, recent.length);
    if (id < 0) throw new PageError("The logits are not finite numbers: the weights are damaged.");
    return id;
  }
}
