// Questions to the API. Errors come back as sentences (RFC 9457 problem details).
import { say } from "./words.js";

const BASE = new URL("api/v1/", document.baseURI);

/** An answer that was not the one asked for, in words. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The address of an API route: `address("sakata/alerts", {state: "open"})`. */
export function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

/** The JSON answer of a route. */
export async function ask(path, query = {}, { signal } = {}) {
  return answer(address(path, query), { headers: { Accept: "application/json" }, signal });
}

/**
 * The answer to a body that is posted, JSON unless `read` names another way of a Response; what
 * writes needs a token of the town.
 */
export async function askWith(path, body, { query, signal, token, read } = {}) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  return answer(address(path, query), { method: "POST", headers, body: JSON.stringify(body), signal }, read);
}

async function answer(url, { headers, ...request }, read = "json") {
  // Refusals come in the page's language.
  const language = { "Accept-Language": document.documentElement.lang };
  const asked = { cache: "no-store", headers: { ...headers, ...language }, ...request };
  const response = await fetch(url, asked).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new ApiError(say("problem.no_answer")); // the browser's own words are for programmers
  });
  if (!response.ok) {
    // What stands before the API, such as a proxy, answers without a problem document.
    const problem = await response.json().catch(() => ({}));
    throw new ApiError(problem.detail ?? say("problem.status", { status: response.status }), response.status);
  }
  return response[read]();
}

/** Every item of a paged route, in order; stops at `most` items. */
export async function askAll(path, query = {}, { signal, most = 100_000 } = {}) {
  const items = [];
  let cursor = null;
  do {
    const page = await ask(path, { ...query, cursor }, { signal });
    items.push(...page.items);
    cursor = page.next ?? null;
  } while (cursor !== null && items.length < most);
  return items;
}
