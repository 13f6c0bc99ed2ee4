// The last model, kept in the browser's storage from one visit to the next, with a hash that tells whether it is whole.
//
// The storage is the origin private file system. Pages that were opened as files have none, and then nothing is kept.

const MODEL = "model.gguf", ABOUT = "model.json";
const PART = 8 << 20; // bytes that are hashed at a time

/** Returns {file, name, origin, hash} of the model that is kept, or undefined if there is none or it is damaged. */
export async function findKept(onProgress) {
  try {
    const folder = await navigator.storage.getDirectory();
    const about = JSON.parse(await (await (await folder.getFileHandle(ABOUT)).getFile()).text());
    const file = await (await folder.getFileHandle(MODEL)).getFile();
    const hasher = new Hasher();
    for (let start = 0; start < file.size; start += PART) {
      await hasher.add(new Uint8Array(await file.slice(start, start + PART).arrayBuffer()));
      onProgress(Math.min(start + PART, file.size), file.size);
    }
    return await hasher.finish() === about.hash ? { file, ...about } : undefined;
  } catch {
    return undefined;
  }
}

/** Returns what is known of the model that is kept, without reading it; undefined if there is none. */
export async function describeKept() {
  try {
    const folder = await navigator.storage.getDirectory();
    return JSON.parse(await (await (await folder.getFileHandle(ABOUT)).getFile()).text());
  } catch {
    return undefined;
  }
}

/**
 * Keeps a model in place of the one before; it counts once all of it is there.
 *
 * @param {ReadableStream<Uint8Array>} stream
 * @param {{name: string, origin: string}} about origin: where it came from, and which version, if it has an address
 * @param {(bytes: number) => void} onProgress
 * @returns the file in the storage, and its hash
 */
export async function keep(stream, about, onProgress) {
  const folder = await navigator.storage.getDirectory();
  await forget();
  const handle = await folder.getFileHandle(MODEL, { create: true });
  const target = await handle.createSyncAccessHandle();
  const hasher = new Hasher();
  let done = 0;
  try {
    for await (const bytes of chunks(stream)) {
      target.write(bytes, { at: done });
      done += bytes.length;
      await hasher.add(bytes);
      onProgress(done);
    }
    target.flush();
  } finally {
    target.close();
  }
  const hash = await hasher.finish();
  await writeText(folder, ABOUT, JSON.stringify({ ...about, hash }));
  navigator.storage.persist?.();
  return { file: await handle.getFile(), hash };
}

/** Lets go of the model that is kept. */
export async function forget() {
  const folder = await navigator.storage.getDirectory();
  for (const name of [ABOUT, MODEL]) await folder.removeEntry(name).catch(() => {});
}

async function writeText(folder, name, text) {
  const handle = await (await folder.getFileHandle(name, { create: true })).createSyncAccessHandle();
  handle.truncate(0);
  handle.write(new TextEncoder().encode(text));
  handle.close();
}

/** Yields the chunks of a stream, which not every browser does by itself. */
async function* chunks(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** SHA-256 of the SHA-256s of all parts: browsers hash no streams, and a model is too large for one piece of memory. */
class Hasher {
  #part = new Uint8Array(PART);
  #filled = 0;
  #digests = [];

  async add(bytes) {
    for (let at = 0; at < bytes.length;) {
      const count = Math.min(bytes.length - at, PART - this.#filled);
      this.#part.set(bytes.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === PART) await this.#close();
    }
  }

  async finish() {
    if (this.#filled > 0) await this.#close();
    const digest = await crypto.subtle.digest("SHA-256", await new Blob(this.#digests).arrayBuffer());
    return Array.from(new Uint8Array(digest), byte => byte.toString(16).padStart(2, "0")).join("");
  }

  async #close() {
    this.#digests.push(await crypto.subtle.digest("SHA-256", this.#part.subarray(0, this.#filled)));
    this.#filled = 0;
  }
}
