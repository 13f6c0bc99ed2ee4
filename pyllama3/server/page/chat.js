/* The conversation: kept in this browser, shown as Markdown, answered by the server. */

import { ask, setKey, stream } from "./api.js";
import { element, showTokens } from "./tokens.js";

const STORE = "pyllama3.chat";
const SETTINGS = ["system", "temperature", "top_p", "seed"];
const get = id => document.getElementById(id);
const markdown = window.markdownit({ html: false, linkify: false, breaks: true }).disable("image");
const openLink = markdown.renderer.rules.link_open ?? ((tokens, at, options, _, self) => self.renderToken(tokens, at, options));
markdown.renderer.rules.link_open = (tokens, at, ...rest) => {
  tokens[at].attrSet("target", "_blank");
  tokens[at].attrSet("rel", "noopener noreferrer");
  return openLink(tokens, at, ...rest);
};

let messages = [];
let aborter = null;

/* keeping */

function keep() {
  const settings = Object.fromEntries(SETTINGS.map(name => [name, get(name).value]));
  const text = get("text").value;
  try {
    localStorage.setItem(STORE, JSON.stringify({ messages, settings, text }));
  } catch {
    /* the browser keeps only so much: the tokens take most of it */
    const short = messages.map(({ role, content }) => ({ role, content }));
    try {
      localStorage.setItem(STORE, JSON.stringify({ messages: short, settings, text }));
    } catch { /* it is shown, but not kept */ }
  }
}

function restore() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch { /* none, or not ours */ }
  messages = kept.messages ?? [];
  for (const name of SETTINGS) get(name).value = kept.settings?.[name] ?? "";
  get("text").value = kept.text ?? "";
  get("key").value = sessionStorage.getItem(STORE) ?? "";
  setKey(get("key").value);
}

/* showing */

const views = new Map();

function show(message) {
  if (!views.has(message)) {
    const view = element("article", undefined, message.role);
    views.set(message, view);
    get("messages").append(view);
  }
  const view = views.get(message);
  if (message.role === "user") {
    view.textContent = message.content;
    return;
  }
  const isNear = get("messages").scrollHeight - get("messages").scrollTop - get("messages").clientHeight < 80;
  const content = element("div", undefined, "content");
  content.innerHTML = markdown.render(message.content);
  const parts = [content];
  if (message.under) parts.push(under(message, view));
  view.replaceChildren(...parts);
  if (isNear) get("messages").scrollTop = get("messages").scrollHeight;
}

function under(message, view) {
  const line = element("div", undefined, "under");
  line.append(element("span", message.under));
  if (message.tokens?.length) {
    const button = element("button", "Tokens");
    button.type = "button";
    button.setAttribute("aria-expanded", false);
    button.addEventListener("click", () => {
      const shown = view.querySelector(".token-view");
      button.setAttribute("aria-expanded", !shown);
      if (shown) {
        shown.remove();
        return;
      }
      const tokens = showTokens(message, (index, candidate) => goOnFrom(message, index, candidate));
      tokens.className = "token-view";
      view.append(tokens);
      tokens.scrollIntoView({ block: "nearest" });
    });
    line.append(button);
  }
  return line;
}

function showAll() {
  for (const view of views.values()) view.remove();
  views.clear();
  messages.forEach(show);
  get("welcome").hidden = messages.length > 0;
}

function complain(text) {
  get("error").textContent = text;
  get("error").hidden = !text;
}

function setBusy(isBusy) {
  get("send").hidden = isBusy;
  get("stop").hidden = !isBusy;
  get("new").disabled = isBusy;
}

/* asking */

function options() {
  const chosen = {};
  for (const name of ["temperature", "top_p", "seed"]) {
    const value = get(name).valueAsNumber;
    if (!Number.isNaN(value)) chosen[name] = value;
  }
  /* a random seed is drawn here, so that what was random can be told later */
  chosen.seed ??= crypto.getRandomValues(new Uint32Array(1))[0];
  return chosen;
}

/** Let an answer grow by a stream; returns whether it has come to its end. */
async function grow(answer, path, body, run) {
  aborter = new AbortController();
  setBusy(true);
  complain("");
  const started = performance.now();
  let first = 0, count = 0, usage = null, frame = 0;
  const draw = () => { frame = 0; show(answer); };
  try {
    const asked = { ...body, ...run.options, stream_options: { include_usage: true }, return_token_ids: true };
    for await (const chunk of stream(path, asked, aborter.signal)) {
      usage = chunk.usage ?? usage;
      const choice = chunk.choices[0];
      if (!choice) continue;
      if (choice.prompt_token_ids) run.prompt = choice.prompt_token_ids;
      answer.content += choice.delta?.content ?? choice.text ?? "";
      for (const id of choice.token_ids ?? []) {
        first ||= performance.now();
        answer.tokens.push({ id, ...named(choice.logprobs), run: answer.runs.length - 1, at: count++ });
      }
      frame ||= requestAnimationFrame(draw);
    }
    answer.under = summary(usage, count, started, first);
    return true;
  } catch (error) {
    if (error.name === "AbortError") {
      answer.under = `stopped after ${count} tokens`;
      return true;
    }
    if (error.status === 401) openSettings("key");
    complain(error.message);
    if (count) answer.under = `ended after ${count} tokens`;
    return count > 0;
  } finally {
    cancelAnimationFrame(frame);
    aborter = null;
    setBusy(false);
  }
}

/** Return the text and the probability of a token; one that ends the answer has neither. */
function named(logprobs) {
  const entry = logprobs?.content?.[0];
  if (entry) return { text: entry.token, p: Math.exp(entry.logprob) };
  if (logprobs?.tokens?.length) return { text: logprobs.tokens[0], p: Math.exp(logprobs.token_logprobs[0]) };
  return { text: "\u25a0" };
}

function summary(usage, count, started, first) {
  const seconds = (performance.now() - first) / 1000;
  const speed = count > 1 && seconds > 0 ? `, ${((count - 1) / seconds).toFixed(1)} tokens/s` : "";
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  const prompt = usage ? `${usage.prompt_tokens} tokens read${cached ? ` (${cached} known before)` : ""}, ` : "";
  return `${prompt}${count} written${speed}, first after ${((first - started) / 1000).toFixed(2)} s`;
}

async function sendMessage() {
  const text = get("text").value;
  if (!text.trim() || aborter) return;
  const question = { role: "user", content: text };
  const run = { prompt: [], options: options() };
  const answer = { role: "assistant", content: "", tokens: [], runs: [run] };
  get("welcome").hidden = true;
  get("text").value = "";
  fit();
  show(question);
  show(answer);
  get("messages").scrollTop = get("messages").scrollHeight;
  const system = get("system").value.trim() ? [{ role: "system", content: get("system").value }] : [];
  const past = [...messages, question].map(({ role, content }) => ({ role, content }));
  const kept = messages.length;
  messages.push(question, answer);
  if (!await grow(answer, "v1/chat/completions", { messages: [...system, ...past], logprobs: true }, run)) {
    messages.length = kept;
    get("text").value ||= text;
    fit();
    showAll();
  } else show(answer);
  keep();
  get("text").focus();
}

/** Continue an answer with another token in the place of one of its own; what came after it is given up. */
async function goOnFrom(answer, index, candidate) {
  if (aborter) return;
  const kept = answer.tokens.slice(0, index), number = answer.tokens[index].run, run = answer.runs[number];
  const own = kept.filter(token => token.run === number).map(token => token.id);
  const prompt = [...run.prompt, ...own, candidate.id];
  const before = { content: answer.content, tokens: answer.tokens, runs: answer.runs, under: answer.under };
  try {
    const ids = [...kept.map(token => token.id), ...(candidate.stops ? [] : [candidate.id])];
    answer.content = (await ask("detokenize", { tokens: ids })).content;
  } catch (error) {
    complain(error.message);
    return;
  }
  answer.tokens = [...kept, { id: candidate.id, text: candidate.text }];
  answer.runs = [...answer.runs, { prompt, options: { ...run.options } }];
  answer.under = "continued from another token";
  messages.length = messages.indexOf(answer) + 1;
  showAll();
  if (!candidate.stops) {
    const grown = await grow(answer, "v1/completions", { prompt, logprobs: 0 }, answer.runs.at(-1));
    if (!grown) Object.assign(answer, before);
  }
  show(answer);
  keep();
}

/* the page */

function fit() {
  get("text").style.height = "auto";
  get("text").style.height = `${get("text").scrollHeight + 2}px`;
}

function openSettings(id) {
  get("settings").hidden = false;
  get("settings-shown").setAttribute("aria-expanded", true);
  if (id) get(id).focus();
}

get("ask").addEventListener("submit", event => {
  event.preventDefault();
  sendMessage();
});
get("text").addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  sendMessage();
});
get("text").addEventListener("input", () => { fit(); keep(); });
get("stop").addEventListener("click", () => aborter?.abort());
get("new").addEventListener("click", () => {
  messages = [];
  complain("");
  showAll();
  keep();
  get("text").focus();
});
get("settings-shown").addEventListener("click", () => {
  if (get("settings").hidden) openSettings();
  else {
    get("settings").hidden = true;
    get("settings-shown").setAttribute("aria-expanded", false);
  }
});
get("settings").addEventListener("submit", event => event.preventDefault());
get("settings").addEventListener("input", () => {
  setKey(get("key").value);
  sessionStorage.setItem(STORE, get("key").value);
  keep();
});

async function showModel() {
  const before = get("error").textContent;
  try {
    get("model").textContent = (await ask("v1/models")).data[0].id;
    if (get("error").textContent === before) complain(""); /* it is over; another one is not ours */
  } catch (error) {
    if (error.status === 401) openSettings("key");
    if (error.status === 503) setTimeout(showModel, 1000);
    complain(error.message);
  }
}
get("key").addEventListener("change", showModel);

restore();
showAll();
fit();
get("messages").scrollTop = get("messages").scrollHeight;
get("text").focus();
showModel();
addEventListener("pagehide", keep); /* also the beginning of an answer */
