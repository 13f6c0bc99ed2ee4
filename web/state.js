// The memory of a forward pass: the cache of one sequence, and the buffers and arrays of a batch.

/** A state of the engine; the arrays of the batch are filled before its stages are called. */
export class State {
  /**
   * @param {Model} model
   * @param {number} context positions in the cache
   * @param {number} batch most rows in a pass
   * @param {number} threads most that compute
   */
  constructor(model, context, batch, threads = 1) {
    const { engine } = model;
    this.model = model;
    this.batch = batch;
    this.core = new engine.Llama3State();
    this.core.init(model.core, context, 1, batch, threads);
    const cache = this.core.getCache();
    cache.setHalfMemory(engine.array("int16", cache.getKeysLength()), engine.array("int16", cache.getValuesLength()));
    const length = this.core.getInputLength();
    this.core.getInput().setQuantized(engine.array("int16", length), null,
      engine.array("float32", length / 32), engine.array("float32", length / 16));
    this.buffers = {};
    for (const [name, buffer] of Object.entries(engine.Buffer)) {
      this.buffers[name] = engine.array("float32", this.core.getBufferLength(buffer));
      this.core.setBuffer(buffer, this.buffers[name]);
    }
    [this.tokens, this.positions, this.sequences, this.logitRows] = [0, 1, 2, 3].map(() => engine.array("int32", batch));
    this.core.setBatch(this.tokens, this.positions, this.sequences, this.logitRows);
  }

  /** Fills the batch with tokens that follow each other from a position on. */
  fill(ids, position) {
    this.tokens.view.set(ids);
    this.positions.view.set(ids.map((_, row) => position + row));
  }

  /** Returns the first `count` numbers of a buffer, from `offset` on, as a view until the memory grows. */
  read(name, offset, count) {
    return this.buffers[name].view.subarray(offset, offset + count);
  }
}
