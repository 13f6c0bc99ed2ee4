// The page's side of the worker.

export class Client {
  #worker;
  #calls = new Map();
  #last = 0;

  /** Starts a worker of some source, which may come with the page, as none may be loaded for a page that is a file. */
  constructor(source) {
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.#worker = new Worker(address);
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = event => this.#failAll(event.message || "the worker could not be started");
  }

  /**
   * Asks the worker to do something, see worker.js.
   *
   * @param {string} method
   * @param {Object} argument
   * @param {(event: Object) => void} onEvent receives what comes before the result
   * @returns {Promise} the result
   */
  ask(method, argument = {}, onEvent = () => {}) {
    const call = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject, onEvent });
      this.#worker.postMessage({ call, method, argument });
    });
  }

  #receive({ call, event, result, error }) {
    const { resolve, reject, onEvent } = this.#calls.get(call);
    if (event !== undefined) {
      onEvent(event);
      return;
    }
    this.#calls.delete(call);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }

  #failAll(text) {
    for (const { reject } of this.#calls.values()) reject(new Error(text));
    this.#calls.clear();
  }
}
