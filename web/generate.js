// From a prompt to pieces of text: the loop that feeds a session and samples from its logits.

import { PageError } from "./errors.js";
import { StreamDecoder } from "./tokenizer.js";

/**
 * Continues a prompt; yields after each pass, so that the caller can stop.
 *
 * Before the first token, what is yielded has `read`, how many tokens of the prompt were fed, of `toRead`. Then come
 * pieces {id, text, stats}: the text is what a token completes, nothing within a character. The last one's stats have a
 * `reason`: "stop" for a token that ends texts, "length" for `maxTokens`, "context" when the context is full.
 *
 * @param {Session} session keeps what it shares with the prompt
 * @param {Sampler} sampler
 * @param {Tokenizer} tokenizer
 * @param {number[]} prompt
 * @param {{maxTokens?: number}} options complete ones for the sampler, and how many tokens to generate at most
 */
export function* generate(session, sampler, tokenizer, prompt, options) {
  const room = session.model.context - prompt.length;
  if (prompt.length === 0) throw new PageError("There is nothing to continue.");
  if (room < 1) throw new PageError(`${prompt.length} tokens are too many for the context of ${session.model.context}.`);
  const most = Math.min(options.maxTokens ?? room, room);
  const ids = [...prompt];
  const decoder = new StreamDecoder(tokenizer);
  sampler.start(options);
  const started = performance.now();
  const rest = session.reuse(prompt);
  for (const read of session.feed(rest)) yield { read, toRead: rest.length };
  const first = performance.now();
  for (let count = 1; ; count++) {
    const id = sampler.sample(session.logits, ids);
    ids.push(id);
    const stops = tokenizer.stopIds.has(id);
    let reason;
    if (stops) reason = "stop";
    else if (count === most) reason = most === room ? "context" : "length";
    const text = (stops ? "" : decoder.feed(id)) + (reason ? decoder.flush() : "");
    const stats = {
      promptTokens: rest.length, promptSeconds: (first - started) / 1000,
      tokens: count, seconds: (performance.now() - first) / 1000, reason, seed: options.seed,
    };
    yield { id, text, stats };
    if (reason) return;
    for (const _ of session.feed([id]));
  }
}

