/**
 * The secrets of a URL, cut out of whatever a provider answers: many echo the key, the path or the credentials of a
 * request that they refuse.
 */

/** Shorter parts of a URL are no secrets, and would cut words out of every sentence. */
const shortest = 5

/** Words that answers are made of, which a URL may contain by chance. */
const words: ReadonlySet<string> = new Set([
  "jsonrpc",
  "error",
  "result",
  "message",
  "code",
  "data",
  "method"
])

/** A function that puts `<key>` where the path, the query or the credentials of `url` stand, in any form. */
export const cutter = (url: URL): ((text: string) => string) => {
  const { password, pathname, search, searchParams, username } = url
  const parts = [
    pathname,
    search,
    ...pathname.split("/"),
    ...searchParams.values(),
    username,
    password,
    username === "" && password === "" ? "" : `${decoded(username)}:${decoded(password)}`
  ].flatMap((part) => [part, decoded(part)])
  const forms = parts
    .flatMap((part) => [part, encodeURIComponent(part), Buffer.from(part).toString("base64")])
    .filter((form) => form.length >= shortest && !words.has(form.toLowerCase()))
    // The longest first, so that no part of one is left behind.
    .sort((a, b) => b.length - a.length)
  if (forms.length === 0) return (text) => text
  const pattern = new RegExp(
    [...new Set(forms)].map((form) => form.replace(/[^\w]/g, "\\$&")).join("|"),
    "gi"
  )
  return (text) => text.replace(pattern, "<key>")
}

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
