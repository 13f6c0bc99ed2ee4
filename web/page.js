// The page: starts the worker with the engine, and connects the views.

import { ChatView } from "./chat_view.js";
import { Client } from "./client.js";
import { get } from "./dom.js";
import { LearnView } from "./learn_view.js";
import { ModelView } from "./model_view.js";
import { showOptions } from "./options_view.js";

const TABS = ["chat", "learn"];

function showTab(name) {
  for (const tab of TABS) {
    get(tab).hidden = tab !== name;
    get(`${tab}-tab`).setAttribute("aria-selected", tab === name);
  }
}

function decodeBase64(text) {
  return Uint8Array.from(atob(text), character => character.charCodeAt(0));
}

async function start() {
  for (const tab of TABS) get(`${tab}-tab`).addEventListener("click", () => { location.hash = tab; });
  const showChosen = () => showTab(TABS.find(tab => `#${tab}` === location.hash) ?? TABS[0]);
  addEventListener("hashchange", showChosen);
  showChosen();
  showOptions();
  const client = new Client(get("worker").textContent);
  const onFree = () => models.openNext();
  const chat = new ChatView(client, onFree);
  const learn = new LearnView(client, onFree);
  const onModel = model => {
    chat.setModel(model);
    learn.setModel(model);
  };
  const models = new ModelView(client, onModel, () => !chat.isBusy && !learn.isBusy);
  await client.ask("start", {
    single: decodeBase64(get("wasm").textContent),
    threaded: decodeBase64(get("wasm-threads").textContent),
    facts: JSON.parse(get("facts").textContent),
  });
  const isFile = location.protocol === "file:"; // which may load nothing
  await models.openUsual(isFile ? null : new URL("model.gguf", location.href).href);
}

start().catch(error => { get("model-state").textContent = `The engine cannot be started: ${error.message}`; });
