// The fields of the sampler's options.

import { element, get } from "./dom.js";
import { DEFAULT_OPTIONS } from "./sampler.js";

const FIELDS = [
  ["temperature", "Temperature", { min: 0 }, "0 takes the best token"],
  ["topK", "Top-k", { min: 0 }, "keep the best; 0 keeps all"],
  ["topP", "Top-p", { min: 0, max: 1 }, "keep the best with this probability"],
  ["minP", "Min-p", { min: 0, max: 1 }, "keep those this near to the best"],
  ["repeatPenalty", "Repeat penalty", { min: 0 }, "makes recent tokens unlikely; 1 does not"],
  ["maxTokens", "Most tokens", { min: 1 }, "to generate; empty: until it stops"],
  ["seed", "Seed", { min: 0 }, "empty: another one each time"],
];

/** Puts the fields on the page. */
export function showOptions() {
  get("sampler").replaceChildren(...FIELDS.map(([name, label, limits, hint]) => {
    const input = element("input", { type: "number", step: "any", id: `option-${name}`, value: DEFAULT_OPTIONS[name] ?? "", ...limits });
    return element("label", {}, label, input, element("span", { className: "quiet" }, hint));
  }));
}

/** Returns the options that the fields say; an empty field is null, or the default if there is one. */
export function readOptions() {
  return Object.fromEntries(FIELDS.map(([name]) => {
    const { value } = get(`option-${name}`);
    return [name, value === "" ? DEFAULT_OPTIONS[name] ?? null : Number(value)];
  }));
}
