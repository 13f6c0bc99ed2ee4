// Threads that compute a pass together: workers of their own, which wait inside the engine on the memory that all share.

const MOST = 8;
const STACK = 1 << 20; // bytes of a thread

/** Returns how many threads are worth it here: one per core, of which most processors announce two. */
export function countThreads() {
  const announced = navigator.hardwareConcurrency ?? 1;
  return self.crossOriginIsolated ? Math.min(MOST, announced > 2 ? announced >> 1 : announced) : 1;
}

/**
 * Starts all threads of a state but the caller's, and waits until they have joined.
 *
 * @returns {Promise<Worker[]>} what to terminate when the state is not used any more
 */
export async function startCrew(engine, core, count) {
  const team = core.getThreads();
  team.setGate(engine.array("int32", engine.Team.GATE_LENGTH));
  const call = team.getCall();
  const { module, memory } = engine;
  const workers = [];
  for (let thread = 1; thread < count; thread++) {
    const stack = engine.array("uint8", STACK);
    const worker = new Worker(self.location.href);
    workers.push(worker);
    await new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = reject;
      const storage = engine.array("uint8", engine.threadBytes).address;
      worker.postMessage({ join: { module, memory, stackTop: stack.address + STACK, storage, core: core.address, thread, call } });
    });
  }
  return workers;
}

/** Computes parts of passes in this worker until it is terminated, see `Llama3State.Work`. */
export function join({ module, memory, stackTop, storage, core, thread, call }) {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  exports.__stack_pointer.value = stackTop;
  exports.__wasm_init_tls(storage);
  self.postMessage("joined");
  exports.Llama3State_Work(core, thread, call);
}
