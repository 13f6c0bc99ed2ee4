// The conversation: messages go to the worker, and what it answers appears as it comes.

import { element, get } from "./dom.js";
import { readOptions } from "./options_view.js";

const ENDS = { length: "That was the most that you asked for.", context: "The context is full: begin a new conversation." };

export class ChatView {
  #client;
  #onFree;
  #messages = [];
  #chats = false;
  #isReady = false;
  #isBusy = false;

  /**
   * @param {Client} client
   * @param {() => void} onFree called whenever the worker has done what it was asked for here
   */
  constructor(client, onFree) {
    this.#client = client;
    this.#onFree = onFree;
    get("composer").addEventListener("submit", event => {
      event.preventDefault();
      this.#send();
    });
    get("question").addEventListener("keydown", event => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    get("stop").addEventListener("click", () => client.ask("stop"));
    get("clear").addEventListener("click", () => this.#clear());
  }

  get isBusy() {
    return this.#isBusy;
  }

  /** Takes the model that has been loaded, which may have no template for chats; null for none. */
  setModel(model) {
    this.#isReady = model !== null;
    this.#chats = model?.chats ?? false;
    get("raw").checked = this.#isReady && !this.#chats;
    get("raw").disabled = !this.#chats;
    this.#clear();
    this.#update();
  }

  #clear() {
    if (this.#isBusy) return;
    this.#messages = [];
    get("log").replaceChildren();
    this.#update();
  }

  #update() {
    get("send").disabled = !this.#isReady || this.#isBusy;
    get("send").hidden = this.#isBusy;
    get("stop").hidden = !this.#isBusy;
    get("clear").disabled = this.#isBusy || get("log").childElementCount === 0;
  }

  async #send() {
    const text = get("question").value;
    if (!this.#isReady || this.#isBusy || text.trim() === "") return;
    get("question").value = "";
    const isRaw = get("raw").checked;
    const question = element("div", { className: isRaw ? "message text" : "message user" }, text);
    const answer = element(isRaw ? "span" : "div", { className: isRaw ? "continued" : "message assistant" });
    const speed = element("p", { className: "speed" });
    if (isRaw) question.append(answer);
    get("log").append(question, ...(isRaw ? [] : [answer]), speed);
    this.#isBusy = true;
    this.#update();
    const messages = isRaw ? [] : this.#withSystem([...this.#messages, { role: "user", content: text }]);
    const prompt = isRaw ? { text } : { messages };
    try {
      const stats = await this.#client.ask("answer", { prompt, options: readOptions() }, piece => show(piece, answer, speed));
      speed.textContent = describe(stats);
    } catch (error) {
      speed.className = "bad";
      speed.textContent = error.message;
      if (answer.textContent === "") {
        question.remove();
        answer.remove();
        get("question").value ||= text;
      }
    }
    if (!isRaw && answer.textContent !== "")
      this.#messages = [...this.#messages, { role: "user", content: text }, { role: "assistant", content: answer.textContent }];
    this.#isBusy = false;
    this.#update();
    this.#onFree();
  }

  #withSystem(messages) {
    const system = get("system").value;
    return system.trim() === "" ? messages : [{ role: "system", content: system }, ...messages];
  }
}

/** Shows a piece of an answer, or how much of the prompt has been read. */
function show({ read, toRead, text, stats }, answer, speed) {
  const isAtEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
  if (read !== undefined) speed.textContent = `Reading token ${read} of ${toRead} …`;
  else {
    answer.append(text);
    speed.textContent = describe(stats);
  }
  if (isAtEnd) scrollTo(0, document.documentElement.scrollHeight);
}

/** Returns what an answer took. */
function describe(stats) {
  if (!stats) return "Stopped.";
  const { promptTokens, promptSeconds, tokens, seconds, reason, seed } = stats;
  const perSecond = (count, time) => time > 0 ? (count / time).toFixed(1) : "–";
  const parts = [
    `${tokens} ${tokens === 1 ? "token" : "tokens"}, ${perSecond(tokens - 1, seconds)} per second`,
    `${promptTokens} read before, ${perSecond(promptTokens, promptSeconds)} per second`,
    `seed ${seed}`,
  ];
  return `${parts.join(" · ")}${ENDS[reason] ? ` · ${ENDS[reason]}` : ""}`;
}
