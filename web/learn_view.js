// The walk of a text through the model: what the worker finds between the stages, for the token and layer that are chosen.

import { element, get } from "./dom.js";
import { readOptions } from "./options_view.js";
import { drawMap, drawStream } from "./pictures.js";
import { showChoice } from "./sampler_view.js";

const NUMBERS_SHOWN = 6;
const FRAME = 220; // milliseconds that a layer is shown while all are played

export class LearnView {
  #client;
  #onFree;
  #model = null;
  #isBusy = false;
  #walk; // what `walk` of the worker gives
  #row; // what `look` gives of the selected row
  #selected = 0;
  #choice;
  #player;

  /**
   * @param {Client} client
   * @param {() => void} onFree called whenever the worker has done what it was asked for here
   */
  constructor(client, onFree) {
    this.#client = client;
    this.#onFree = onFree;
    get("walk").addEventListener("submit", event => {
      event.preventDefault();
      this.#start({ text: get("walk-text").value });
    });
    get("walk-tokens").addEventListener("click", ({ target }) => {
      const chip = target.closest("button");
      if (chip) this.#do(() => this.#select(Number(chip.dataset.row)));
    });
    get("layer").addEventListener("input", () => {
      this.#stopPlaying();
      this.#showLayer();
    });
    get("layer-play").addEventListener("click", () => this.#play());
    get("head").addEventListener("change", () => this.#showAttention());
    get("draw").addEventListener("click", () => this.#do(() => this.#draw({ ...readOptions(), seed: null })));
    get("append").addEventListener("click", () => this.#start({ append: this.#choice.id }));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#row && this.#showRow());
  }

  get isBusy() {
    return this.#isBusy;
  }

  /** Takes the model that has been loaded, or null for none. */
  setModel(model) {
    this.#stopPlaying();
    this.#model = model;
    this.#walk = this.#row = undefined;
    get("walked").hidden = true;
    get("walk-state").className = "quiet";
    get("walk-state").textContent = model ? "" : "A model is needed first.";
    this.#update();
    if (!model) return;
    get("layer").max = model.layers;
    get("layer").value = model.layers;
    get("head").replaceChildren(new Option("mean of all", -1),
      ...Array.from({ length: model.heads }, (_, head) => new Option(String(head), head)));
    fill("dim", model.dim);
    fill("layers", model.layers);
    fill("head-dim", model.headDim);
    get("stream").parentElement.style.setProperty("--lines", model.layers + 1);
  }

  #update() {
    for (const id of ["walk-start", "draw", "append"]) get(id).disabled = !this.#model || this.#isBusy;
  }

  #start(argument) {
    return this.#do(async () => {
      const { layers } = this.#model;
      const state = get("walk-state");
      this.#walk = await this.#client.ask("walk", argument, ({ layer }) => { state.textContent = `Layer ${layer} of ${layers} …`; });
      state.textContent = "";
      get("walked").hidden = false;
      get("walk-tokens").replaceChildren(...this.#walk.tokens.map(makeChip));
      await this.#draw(readOptions());
      await this.#select(this.#walk.tokens.length - 1);
    });
  }

  /** Does something with the worker, one thing at a time, and tells what went wrong. */
  async #do(action) {
    if (!this.#model || this.#isBusy) return;
    this.#stopPlaying();
    this.#isBusy = true;
    this.#update();
    const state = get("walk-state");
    state.className = "quiet";
    try {
      await action();
    } catch (error) {
      state.className = "bad";
      state.textContent = error.message;
    }
    this.#isBusy = false;
    this.#update();
    this.#onFree();
  }

  async #select(row) {
    this.#row = await this.#client.ask("look", { row });
    this.#selected = row;
    for (const chip of get("walk-tokens").children) chip.setAttribute("aria-pressed", Number(chip.dataset.row) === row);
    fill("selected", this.#walk.tokens[row].name);
    this.#showRow();
  }

  async #draw(options) {
    this.#choice = await this.#client.ask("choose", { options });
    showChoice(this.#choice);
  }

  #play() {
    if (this.#player) {
      this.#stopPlaying();
      return;
    }
    const slider = get("layer");
    if (slider.value === slider.max) slider.value = 0;
    this.#showLayer();
    get("layer-play").textContent = "■";
    this.#player = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      this.#showLayer();
      if (slider.value === slider.max) this.#stopPlaying();
    }, FRAME);
  }

  #stopPlaying() {
    clearInterval(this.#player);
    this.#player = undefined;
    get("layer-play").textContent = "▶";
  }

  /** Shows what belongs to the selected row. */
  #showRow() {
    drawStream(get("stream"), this.#row.stream, this.#model.layers + 1);
    this.#showLens();
    this.#showAdded();
    this.#showLayer();
  }

  /** Shows what belongs to the selected line of the residual stream: 0 is the embedding, 1 what layer 0 has left. */
  #showLayer() {
    const line = Number(get("layer").value);
    get("layer-name").textContent = nameLine(line);
    const [best] = this.#row.predictions[line];
    get("layer-says").textContent = `${best.name} ${percent(best.probability)}`;
    get("stream").parentElement.style.setProperty("--layer", line);
    const { dim } = this.#model;
    const numbers = this.#row.stream.subarray(line * dim, line * dim + NUMBERS_SHOWN);
    get("stream-numbers").textContent = `${Array.from(numbers, number => number.toFixed(3)).join("  ")} …`;
    fill("layer", nameLine(Math.max(1, line)));
    Array.from(get("lens").rows, (row, n) => row.classList.toggle("current", n === line));
    Array.from(get("added").children, (bars, n) => bars.classList.toggle("current", n + 1 === line));
    this.#showAttention();
  }

  /** Returns the probability with which a row looks at another in the selected layer; head -1 is the mean. */
  #attention(row, other) {
    const { heads } = this.#model;
    const size = this.#walk.tokens.length;
    const layer = Math.max(0, Number(get("layer").value) - 1);
    const at = head => this.#walk.attention[((layer * heads + head) * size + row) * size + other];
    const head = Number(get("head").value);
    if (head >= 0) return at(head);
    let sum = 0;
    for (let each = 0; each < heads; each++) sum += at(each);
    return sum / heads;
  }

  #showAttention() {
    const { tokens } = this.#walk;
    drawMap(get("map"), (row, other) => this.#attention(row, other), tokens.length, this.#selected);
    get("looks").replaceChildren(...tokens.slice(0, this.#selected + 1).map(({ name }, other) => {
      const probability = this.#attention(this.#selected, other);
      return heated(element("span", { className: "token", title: percent(probability) }, name,
        element("span", { className: "quiet" }, ` ${percent(probability)}`)), probability);
    }));
  }

  #showLens() {
    get("lens").replaceChildren(...this.#row.predictions.map((best, line) => element("tr", {},
      element("th", { scope: "row" }, nameLine(line)),
      ...best.map(({ name, probability }) => heated(element("td", { className: "token" }, `${name} `,
        element("span", { className: "quiet" }, percent(probability))), probability)))));
  }

  #showAdded() {
    const { attention, feedForward } = this.#walk.lengths;
    get("added").replaceChildren(...attention.map((_, layer) => {
      const bars = [[attention, "cool"], [feedForward, "hot"]].map(([lengths, color]) => {
        const share = lengths[layer].added[this.#selected] / lengths[layer].before[this.#selected];
        const bar = element("span", { className: `bar ${color}`, title: share.toFixed(2) });
        bar.style.setProperty("--share", Math.min(1, share));
        return bar;
      });
      return element("div", { className: "layer", title: nameLine(layer + 1) }, ...bars);
    }));
  }
}

function makeChip({ id, name, isSpecial }, row) {
  const chip = element("button", { type: "button", className: isSpecial ? "chip special" : "chip" },
    element("span", { className: "token" }, name), element("span", { className: "number" }, id));
  chip.dataset.row = row;
  return chip;
}

/** Returns what a line of the residual stream is; layers are counted from 0, as in files. */
function nameLine(line) {
  return line === 0 ? "embedding" : `layer ${line - 1}`;
}

/** Colours an element by a probability. */
function heated(made, probability) {
  made.classList.add("heat");
  made.style.setProperty("--heat", Math.round(70 * Math.sqrt(probability)));
  return made;
}

/** Puts a text into all places that are marked for it. */
function fill(name, text) {
  for (const place of document.querySelectorAll(`[data-${name}]`)) place.textContent = text;
}

function percent(probability) {
  return `${(100 * probability).toFixed(probability < 0.0995 ? 1 : 0)}%`;
}
