// Runs modules of web/ for test_javascript.py: reads {facts, job, ...} as JSON from standard input, writes what the job
// gives as JSON.

import { readFileSync } from "node:fs";

import { ChatTemplate, encodeChat, findTemplate } from "../../web/chat_template.js";
import { explainChoice } from "../../web/choices.js";
import { readRope } from "../../web/rope.js";
import { StreamDecoder, Tokenizer } from "../../web/tokenizer.js";

const JOBS = {
  encode({ metadata, texts, special }, facts) {
    const tokenizer = new Tokenizer(new Map(Object.entries(metadata)), facts);
    return texts.map(text => tokenizer.encode(text, { special }));
  },
  describe({ metadata }, facts) {
    const tokenizer = new Tokenizer(new Map(Object.entries(metadata)), facts);
    const { names, bosId, addBos, stopIds } = tokenizer.vocabulary;
    return {
      bytes: names.map((_, id) => Array.from(tokenizer.bytes(id))),
      special: names.map((_, id) => tokenizer.isSpecial(id)),
      bos: addBos ? bosId : null,
      stops: [...stopIds],
    };
  },
  decode({ metadata, ids }, facts) {
    const decoder = new StreamDecoder(new Tokenizer(new Map(Object.entries(metadata)), facts));
    return [...ids.map(id => decoder.feed(id)), decoder.flush()];
  },
  chat({ metadata, conversations }, facts) {
    const map = new Map(Object.entries(metadata));
    const tokenizer = new Tokenizer(map, facts);
    const template = findTemplate(map, tokenizer.vocabulary, facts.templates);
    return conversations.map(messages => encodeChat(tokenizer, template, messages));
  },
  render({ source, bos, eos, date, conversations }) {
    const template = new ChatTemplate(source, { bos_token: bos, eos_token: eos });
    return conversations.map(({ add_generation_prompt: addGenerationPrompt, ...conversation }) =>
      template.render({ ...conversation, addGenerationPrompt, date: new Date(`${date}T12:00`) }));
  },
  async rope({ metadata, shape, tensors, wanted }) {
    const { divisors, magnitude } = await readRope(new Map(Object.entries(metadata)), shape,
      async name => tensors[name] && Float32Array.from(tensors[name]), wanted);
    return { divisors: Array.from(divisors), magnitude };
  },
  choices({ cases }) {
    return cases.map(({ logits, recent, options, random }) => explainChoice(Float32Array.from(logits), recent, options, random));
  },
};

const { job, facts, ...argument } = JSON.parse(readFileSync(0, "utf-8"));
process.stdout.write(JSON.stringify(await JOBS[job](argument, facts)));
