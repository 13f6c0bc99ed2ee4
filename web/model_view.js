// The model: where it comes from, how far it is, and what it is.

import { element, get, megabytes } from "./dom.js";

const HAS_STORAGE = isSecureContext && location.protocol !== "file:";

export class ModelView {
  #client;
  #onChange;
  #isFree;
  #isLoading = true;
  #next = null;

  /**
   * @param {Client} client
   * @param {(model: Object|null) => void} onChange
   * @param {() => boolean} isFree whether a model may be replaced now
   */
  constructor(client, onChange, isFree) {
    this.#client = client;
    this.#onChange = onChange;
    this.#isFree = isFree;
    get("open").addEventListener("change", ({ target }) => {
      if (target.files.length > 0) this.#open(target.files[0]);
      target.value = "";
    });
    get("forget").addEventListener("click", () => this.#forget());
    addEventListener("dragover", event => {
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    for (const end of ["dragleave", "drop"]) addEventListener(end, () => document.body.classList.remove("dropping"));
    addEventListener("drop", event => {
      event.preventDefault();
      if (event.dataTransfer.files.length > 0) this.#open(event.dataTransfer.files[0]);
    });
  }

  /** Opens the model of the last visit, or the one beside the page. */
  openUsual(url) {
    return this.#load("openUsual", { url });
  }

  #open(file) {
    this.#next = file;
    if (!this.#isFree()) get("model-state").append(` Next: ${file.name}.`);
    this.openNext();
  }

  /** Opens the file that was chosen last, unless there is none or the worker has something to do; then it waits. */
  openNext() {
    if (this.#next === null || this.#isLoading || !this.#isFree()) return;
    const file = this.#next;
    this.#next = null;
    this.#load("openFile", { file });
  }

  async #load(method, argument) {
    this.#isLoading = true;
    this.#onChange(null);
    get("open-button").hidden = get("forget").hidden = get("model-hint").hidden = true;
    const progress = get("model-progress");
    try {
      const model = await this.#client.ask(method, argument, ({ stage, done, total }) => {
        progress.hidden = false;
        progress.max = total;
        progress.value = done;
        say(`${stage} ${argument.file?.name ?? "the model"}: ${megabytes(done)} of ${megabytes(total)}`);
      });
      get("model-hint").hidden = model !== null;
      get("forget").hidden = model === null || !HAS_STORAGE;
      if (model) say(...describe(model));
      else say("There is no model yet.");
      this.#onChange(model);
    } catch (error) {
      say(element("span", { className: "bad" }, error.message));
      get("model-hint").hidden = false;
    }
    progress.hidden = true;
    get("open-button").hidden = false;
    this.#isLoading = false;
    this.openNext();
  }

  async #forget() {
    get("forget").hidden = true;
    await this.#client.ask("forget");
    get("model-state").append(" Nothing is kept for the next visit.");
  }
}

function say(...parts) {
  get("model-state").replaceChildren(...parts);
}

/** Returns what there is to say of a model. */
function describe({ name, size, layers, dim, context, memory, threads, hash }) {
  const facts = [megabytes(size), `${layers} layers of ${dim}`, `context ${context}`, `${megabytes(memory)} of memory`,
    threads === 1 ? "1 thread" : `${threads} threads`];
  if (hash) facts.push(`kept, hash ${hash.slice(0, 8)}`);
  return [element("b", {}, name), element("span", { className: "quiet" }, ` ${facts.join(" · ")}`)];
}
