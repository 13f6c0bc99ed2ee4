// Messages to the tokens that a model was trained to answer, by the Jinja template of the model.

import { Template } from "@huggingface/jinja";

import { PageError } from "./errors.js";
import { namesToShield, shielded, withoutShields } from "./shield.js";

const TEMPLATE = "tokenizer.chat_template";
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

// The library's own names months in the language of the browser, and lets no variable take the place of a global.
const ENGLISH_DATES = new Template("{% set strftime_now = english_date %}");

/** A template with what it may use beside messages. */
export class ChatTemplate {
  #template;
  #tokens;

  /**
   * @param {string} source
   * @param {Object<string, string>} tokens names of tokens by their role, "bos_token"
   */
  constructor(source, tokens) {
    this.source = source;
    this.#tokens = tokens;
    try {
      this.#template = new Template(source);
      this.#template.parsed.body.unshift(...ENGLISH_DATES.parsed.body);
    } catch (error) {
      throw new PageError(`The model's chat template cannot be read: ${error.message}`);
    }
  }

  /** Returns the conversation as one text, by default with the beginning of the answer. */
  render({ messages, tools = null, addGenerationPrompt = true, date = new Date() }) {
    try {
      return this.#template.render({
        ...this.#tokens,
        messages,
        tools,
        documents: null,
        add_generation_prompt: addGenerationPrompt,
        english_date: format => strftime(date, format),
      });
    } catch (error) {
      throw new PageError(`The model's chat template fails: ${error.message}`);
    }
  }
}

/** Returns the template of a model, or the host's for its vocabulary; undefined for a base model. */
export function findTemplate(metadata, vocabulary, builtinTemplates) {
  const name = id => id === undefined ? "" : vocabulary.names[id];
  const source = metadata.get(TEMPLATE) || builtinTemplates[name(vocabulary.eotId)] || builtinTemplates[name(vocabulary.eosId)];
  if (!source) return undefined;
  const roles = Object.entries({ ...vocabulary.roles, bos_token: vocabulary.bosId, eos_token: vocabulary.eosId });
  const known = roles.filter(([role, id]) => id !== undefined || role === "bos_token" || role === "eos_token");
  return new ChatTemplate(source, Object.fromEntries(known.map(([role, id]) => [role, name(id)])));
}

/**
 * Returns the ids of a conversation: the template's markers are special tokens, text of messages never is.
 *
 * @param {{role: string, content: string}[]} messages
 */
export function encodeChat(tokenizer, template, messages) {
  const names = namesToShield(template.source, [...tokenizer.vocabulary.special.keys()]);
  const safe = messages.map(({ role, content }) => ({ role, content: shielded(content.toWellFormed(), names) }));
  const parts = tokenizer.splitSpecial(template.render({ messages: safe }));
  return tokenizer.withBos(tokenizer.encodeParts(parts.map(part => typeof part === "number" ? part : withoutShields(part))));
}

/** Python's strftime in English, for what templates ask for. */
function strftime(date, format) {
  const two = number => String(number).padStart(2, "0");
  const month = MONTHS[date.getMonth()];
  const values = {
    Y: String(date.getFullYear()), m: two(date.getMonth() + 1), d: two(date.getDate()),
    b: month.slice(0, 3), B: month, H: two(date.getHours()), M: two(date.getMinutes()), S: two(date.getSeconds()), "%": "%",
  };
  return format.replace(/%([YmdbBHMS%])/g, (_, letter) => values[letter]);
}
