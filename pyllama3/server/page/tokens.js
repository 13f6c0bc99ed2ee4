/* The tokens of an answer: why each was chosen, and what else could have come.

   An answer has `tokens`, each {id, text, p, run, at}: it was the token number `at` of the run `run`. A run is
   {prompt, options}: the ids that were continued, and how. A token that the reader has put there has no run. */

import { ask } from "./api.js";

export function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const percent = p => `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)}%`;

/** Return the view of an answer's tokens; `goOn(index, candidate)` continues from another token. */
export function showTokens(answer, goOn) {
  const view = element("div"), chips = element("div", undefined, "tokens"), why = element("div");
  why.setAttribute("aria-live", "polite");
  view.append(
    element("p", "The less probable, the warmer. Select one to see why it was chosen.", "quiet"), chips, why);
  answer.tokens.forEach((token, index) => {
    const chip = element("button", visible(token.text), token.run === undefined ? "mine" : undefined);
    chip.type = "button";
    chip.title = token.p === undefined ? `token ${token.id}` : `token ${token.id}, ${percent(token.p)}`;
    chip.style.setProperty("--doubt", token.p === undefined ? 0 : Math.round(70 * (1 - token.p)));
    chip.setAttribute("aria-pressed", false);
    chip.addEventListener("click", () => {
      for (const other of chips.querySelectorAll("button")) other.setAttribute("aria-pressed", other === chip);
      showWhy(why, answer, index, goOn);
    });
    chips.append(chip);
    if (token.text.endsWith("\n")) chips.append(element("br"));
  });
  return view;
}

const visible = text => text.replaceAll("\n", "\u23ce") || "\u2205";

async function showWhy(place, answer, index, goOn) {
  const token = answer.tokens[index];
  if (token.run === undefined) {
    place.replaceChildren(box(`You have chosen this token.`));
    return;
  }
  const run = answer.runs[token.run];
  const before = answer.tokens.filter(other => other.run === token.run && other.at < token.at).map(other => other.id);
  place.replaceChildren(box("Looking\u2026"));
  try {
    const choice = await ask("why", { prompt: run.prompt, answer: before, ...run.options });
    place.replaceChildren(whyBox(choice, candidate => goOn(index, candidate), explainButton(answer, run, token.run)));
  } catch (error) {
    place.replaceChildren(box(error.message, "bad"));
  }
}

function box(text, className) {
  const made = element("div", undefined, "why");
  made.append(element("p", text, className));
  return made;
}

function whyBox(choice, goOn, explain) {
  const made = element("section", undefined, "why");
  const heading = element("h3", "Why ");
  heading.append(element("span", choice.chosen.text, "token"));
  const steps = element("div", undefined, "steps");
  const last = choice.steps.at(-1);
  if (!last.best.some(candidate => candidate.id === choice.chosen.id))
    last.best.push({ ...choice.chosen, probability: choice.end - choice.begin }); /* only the best are told */
  for (const step of choice.steps) steps.append(stepTable(step, choice.chosen.id, goOn));
  const how = choice.random === null
    ? "At temperature 0 the most probable one is taken."
    : "Each step leaves fewer candidates, whose probabilities again make 100%. A random number then points at one.";
  made.append(heading, element("p", how, "quiet"), steps);
  if (choice.random !== null) made.append(draw(choice), element("p",
    `The random number was ${choice.random.toFixed(4)}; ${choice.chosen.text} has ` +
    `${choice.begin.toFixed(4)} to ${choice.end.toFixed(4)}.`, "quiet"));
  made.append(element("p", "Select another candidate to continue from it.", "quiet"), explain);
  return made;
}

function stepTable(step, chosen, goOn) {
  const table = element("table");
  table.append(element("caption", `${step.name}: ${step.survivors} ${step.survivors === 1 ? "candidate" : "candidates"}`));
  for (const candidate of step.best) {
    const row = element("tr", undefined, candidate.id === chosen ? "chosen" : undefined);
    const name = element("td"), button = element("button", candidate.text), share = element("td"), bar = element("span", "", "bar");
    button.type = "button";
    button.disabled = candidate.id === chosen;
    button.addEventListener("click", () => goOn(candidate));
    bar.style.width = `${4 * candidate.probability}rem`;
    name.append(button);
    share.append(bar);
    row.append(name, element("td", percent(candidate.probability)), share);
    table.append(row);
  }
  return table;
}

function draw(choice) {
  const made = element("div", undefined, "draw"), needle = element("span", "", "needle");
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", `Shares of the candidates, and the random number ${choice.random.toFixed(4)}`);
  let sum = 0;
  const add = (text, probability, className) => {
    const share = element("span", text, className);
    share.style.width = `${100 * probability}%`;
    made.append(share);
    sum += probability;
  };
  for (const { id, text, probability } of choice.steps.at(-1).best) {
    const isChosen = id === choice.chosen.id;
    if (isChosen && choice.begin - sum > 1e-4) add("", choice.begin - sum, "share"); /* those that are not told */
    add(text, probability, isChosen ? "share chosen" : "share");
  }
  needle.style.left = `${100 * choice.random}%`;
  made.append(needle);
  return made;
}

function explainButton(answer, run, number) {
  const place = element("p"), button = element("button", "Look inside the layers");
  button.type = "button";
  button.addEventListener("click", async () => {
    button.disabled = true;
    const ids = answer.tokens.filter(token => token.run === number).map(token => token.id);
    try {
      const { url } = await ask("explain", { prompt: run.prompt, answer: ids, ...run.options });
      const link = element("a", "The full explanation");
      link.href = url;
      link.target = "_blank";
      place.replaceChildren(link);
      link.focus();
    } catch (error) {
      place.replaceChildren(element("span", error.message, "bad"));
    }
  });
  place.append(button);
  return place;
}
