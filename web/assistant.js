// A model that answers: the engine, the weights, the tokenizer, the template and a session.

import { encodeChat, findTemplate } from "./chat_template.js";
import { countThreads } from "./crew.js";
import { Engine } from "./engine.js";
import { generate } from "./generate.js";
import { Model } from "./model.js";
import { Sampler, completeOptions } from "./sampler.js";
import { Session } from "./session.js";
import { Tokenizer } from "./tokenizer.js";
import { Walk } from "./walk.js";

export class Assistant {
  #walk;

  /**
   * Loads a model into an engine of its own.
   *
   * @param {WebAssembly.Module} module
   * @param {Object} facts what the host knows, see tools/web/facts.py
   * @param {Blob} file
   */
  static async load(module, facts, file, onProgress) {
    const engine = new Engine(module, facts.engine);
    const model = await Model.load(engine, file, facts.types, onProgress);
    const threads = countThreads();
    const assistant = new Assistant(model, facts, threads);
    if (threads > 1) await assistant.session.start(threads);
    return assistant;
  }

  constructor(model, facts, threads) {
    this.model = model;
    this.tokenizer = new Tokenizer(model.metadata, facts);
    this.template = findTemplate(model.metadata, this.tokenizer.vocabulary, facts.templates);
    this.session = new Session(model, threads);
    this.sampler = new Sampler(model.engine, model.config.vocabSize);
  }

  /** What looks inside, with memory of its own, once it is asked for. */
  get walk() {
    return this.#walk ??= new Walk(this.model);
  }

  /** Returns the tokens of a conversation, or of a text to continue. */
  encode({ messages, text }) {
    return messages ? encodeChat(this.tokenizer, this.template, messages) : this.tokenizer.encodePrompt(text);
  }

  /** Continues a conversation or a text, see `generate`. */
  answer(prompt, options) {
    const complete = { ...completeOptions(options), maxTokens: options.maxTokens ?? undefined };
    return generate(this.session, this.sampler, this.tokenizer, this.encode(prompt), complete);
  }
}
