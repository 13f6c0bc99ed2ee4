// The worker that computes, so that the page never waits: it does what the page asks for by messages.
//
// A message {call, method, argument} is answered by any number of {call, event}, then {call, result} or {call, error}.

import { Assistant } from "./assistant.js";
import { countThreads, join } from "./crew.js";
import { PageError } from "./errors.js";
import { describeKept, findKept, forget, keep } from "./storage.js";

let module, facts, assistant;
let stopped = false;

const METHODS = {
  /** Receives the engine, for one thread and for several, and the facts. */
  async start({ single, threaded, facts: given }) {
    module = await WebAssembly.compile(await inflate(countThreads() > 1 ? threaded : single));
    facts = given;
  },

  /** Opens a file of the visitor's, and keeps it for the next visit. */
  async openFile({ file }, report) {
    const description = await load(file, file.name, report);
    keep(file.stream(), { name: file.name, origin: "file" }, () => {}).catch(() => forget().catch(() => {}));
    return description;
  },

  /** Opens the model that is kept, or the one beside the page; returns null if there is none. */
  async openUsual({ url }, report) {
    const about = await describeKept();
    const version = await findVersion(url);
    if (about && (about.origin === "file" || !version || about.origin === version)) {
      const kept = await findKept((done, total) => report({ stage: "Checking", done, total }));
      if (kept) return load(kept.file, kept.name, report, kept.hash);
    }
    return version ? download(url, version, report) : null;
  },

  /** Answers {messages} or continues {text}. */
  async answer({ prompt, options }, report) {
    stopped = false;
    let stats;
    for (const piece of assistant.answer(prompt, options)) {
      stats = piece.stats;
      report(piece);
      await breath();
      if (stopped) break;
    }
    return stats;
  },

  /** Walks a text through the model, or the text of the last walk with one token more; returns what all its rows show. */
  async walk({ text, append }, report) {
    const { tokenizer } = assistant;
    const ids = append === undefined ? tokenizer.encodePrompt(text) : [...assistant.walk.ids, append];
    const run = assistant.walk.run(ids);
    const shown = await finish(run, layer => report({ layer }));
    return { ...shown, tokens: ids.map(id => ({ id, name: tokenizer.show(id), isSpecial: tokenizer.isSpecial(id) })) };
  },

  /** Looks at one row of the last walk. */
  async look({ row }) {
    const { stream, predictions } = await finish(assistant.walk.look(row));
    return { stream, predictions: predictions.map(named) };
  },

  /** Explains the choice of the token after the last walk. */
  async choose({ options }) {
    const choice = assistant.walk.choose(options);
    const steps = choice.steps.map(step => ({ ...step, best: named(step.best) }));
    return { ...choice, steps, name: assistant.tokenizer.show(choice.id) };
  },

  async stop() {
    stopped = true;
  },

  async forget() {
    await forget();
  },
};

/** Loads a model in place of the one before; returns what the page tells of it. */
async function load(file, name, report, hash) {
  assistant?.session.close();
  assistant = undefined;
  assistant = await Assistant.load(module, facts, file, (done, total) => report({ stage: "Loading", done, total }));
  const { model: { config, context, engine }, session: { threads } } = assistant;
  return { ...config, name: config.name || name, file: name, context, threads, hash, size: file.size,
    memory: engine.bytes, chats: assistant.template !== undefined };
}

/** Runs a generator to its end, letting messages in; returns what it returns. */
async function finish(generator, onStep = () => {}) {
  for (;;) {
    const { done, value } = generator.next();
    if (done) return value;
    onStep(value);
    await breath();
  }
}

function named(candidates) {
  return candidates.map(candidate => ({ ...candidate, name: assistant.tokenizer.show(candidate.id) }));
}

/** Returns what tells versions of a file at an address apart; undefined if there is none. */
async function findVersion(url) {
  if (!url) return undefined;
  const answer = await fetch(url, { method: "HEAD", cache: "no-cache" }).catch(() => undefined);
  if (!answer?.ok) return undefined;
  const { headers } = answer;
  return `${url} ${headers.get("etag") ?? headers.get("last-modified")} ${headers.get("content-length")}`;
}

/** Downloads a model, keeps it where that is possible, and loads it. */
async function download(url, version, report) {
  const answer = await fetch(url);
  if (!answer.ok) throw new PageError(`${url}: the server answers ${answer.status}.`);
  const total = Number(answer.headers.get("content-length"));
  const name = new URL(url).pathname.split("/").at(-1);
  const onProgress = done => report({ stage: "Downloading", done, total });
  let kept;
  try {
    kept = await keep(answer.body, { name, origin: version }, onProgress);
  } catch { // no storage, or no room in it
    const again = answer.bodyUsed ? await fetch(url) : answer;
    kept = { file: await again.blob() };
  }
  return load(kept.file, name, report, kept.hash);
}

/** Returns bytes that were compressed by gzip. */
async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Lets messages in. */
function breath() {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

self.onmessage = async ({ data: { call, method, argument, join: place } }) => {
  if (place) {
    join(place);
    return;
  }
  try {
    const result = await METHODS[method](argument, event => self.postMessage({ call, event }));
    self.postMessage({ call, result });
  } catch (error) {
    const text = error instanceof PageError ? error.message : `${error.name ?? "Error"}: ${error.message}`;
    self.postMessage({ call, error: text });
  }
};
