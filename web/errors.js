// What visitors are told: the text is one sentence that says what was found and what is allowed.

export class PageError extends Error {}
