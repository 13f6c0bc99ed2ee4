// One sequence of tokens: tokens are fed, logits come back.

import { PageError } from "./errors.js";
import { startCrew } from "./crew.js";
import { State } from "./state.js";

const BATCH = 32; // rows of a pass: after each, a visitor's Stop is heard

export class Session {
  #state;
  #ids = [];
  #crew = [];

  constructor(model, threads) {
    this.model = model;
    this.#state = new State(model, model.context, Math.min(BATCH, model.context), threads);
  }

  /** Starts the threads; until they are there, one computes. */
  async start(threads) {
    this.#crew = await startCrew(this.model.engine, this.#state.core, threads);
  }

  /** Lets the threads go; the session can not be used any more. */
  close() {
    for (const worker of this.#crew) worker.terminate();
  }

  /** How many threads compute. */
  get threads() {
    return this.#crew.length + 1;
  }

  /** The logits after the last token, as an array of the engine. */
  get logits() {
    return this.#state.buffers.LOGITS;
  }

  /** Forgets all tokens but those that `ids` begins with; returns the rest of `ids`, at least the last. */
  reuse(ids) {
    let same = 0;
    while (same < this.#ids.length && same < ids.length - 1 && this.#ids[same] === ids[same]) same++;
    this.#ids.length = same;
    return ids.slice(same);
  }

  /** Appends tokens, a batch at a time; yields how many were fed. `logits` are those after the last one. */
  *feed(ids) {
    const state = this.#state;
    if (this.#ids.length + ids.length > this.model.context)
      throw new PageError(`${this.#ids.length + ids.length} tokens do not fit into the context of ${this.model.context}.`);
    for (let start = 0; start < ids.length; start += state.batch) {
      const chunk = ids.slice(start, start + state.batch);
      state.fill(chunk, this.#ids.length);
      state.logitRows.view[0] = chunk.length - 1;
      state.core.forward(chunk.length, start + chunk.length === ids.length ? 1 : 0, this.threads);
      this.#ids.push(...chunk);
      yield start + chunk.length;
    }
  }
}
