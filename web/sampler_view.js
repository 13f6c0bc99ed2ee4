// How the next token is chosen: the candidates that each step of the sampler leaves, and the draw.

import { element, get } from "./dom.js";

/** Shows a choice of `explainChoice`, whose candidates have names. */
export function showChoice({ id, name, steps, random, begin, end, seed }) {
  get("steps").replaceChildren(...steps.map(step => showStep(step, id)));
  const shares = get("shares");
  shares.hidden = random === null;
  if (random === null) {
    get("draw-words").textContent = `Temperature 0: always the most probable one, "${name}".`;
    return;
  }
  shares.replaceChildren(...steps.at(-1).best.map(candidate => {
    const share = element("span", { className: candidate.id === id ? "share chosen" : "share", title: candidate.name }, candidate.name);
    share.style.setProperty("--share", candidate.probability);
    return share;
  }));
  const needle = element("span", { className: "needle" });
  needle.style.setProperty("--share", random);
  shares.append(needle);
  get("draw-words").textContent = `The random number was ${random.toFixed(4)} (seed ${seed}); "${name}" has ${begin.toFixed(4)} to ${end.toFixed(4)}.`;
}

function showStep({ name, survivors, best }, chosen) {
  const count = `${survivors.toLocaleString("en")} ${survivors === 1 ? "candidate" : "candidates"}`;
  return element("table", {}, element("caption", {}, `${name}: ${count}`), ...best.map(candidate => element("tr",
    { className: candidate.id === chosen ? "chosen" : "" },
    element("td", { className: "token", title: candidate.name }, candidate.name),
    element("td", {}, `${(100 * candidate.probability).toFixed(1)}%`))));
}
