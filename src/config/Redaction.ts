/**
 * What may be shown of a value: in a log, a table, an error. Of a URL its scheme, host and port, since providers put
 * API keys into paths, queries and user names; of a secret that is not a readable URL, nothing at all.
 *
 * **Gotchas**: anything that looks like a URL is treated as one even in a setting that is no secret. A URL pasted
 * into the wrong variable is the likeliest way for a key to get into an error message.
 */
import { Option } from "effect"

const hidden = "<redacted>"

/** Longest text quoted back; an error message is not the place for a pasted file. */
const longest = 80

/** Any other text before the first colon may itself be the secret. */
const schemes = new Set(["http:", "https:", "ws:", "wss:", "postgres:", "postgresql:", "mysql:", "ftp:"])

/**
 * A URL written out with its `//`. The standard's parser is kinder: to it `https:/key` and `https:///key` have the
 * host `key`.
 */
export const parseUrl = (text: string): Option.Option<URL> => {
  const match = /^[a-z][a-z\d+.-]*:\/\/([/\\]?)/i.exec(text.trim())
  if (match === null || !URL.canParse(text)) return Option.none()
  const url = new URL(text)
  return match[1] !== "" && url.host !== "" ? Option.none() : Option.some(url)
}

/** `https://eth.example.com/…` for `https://user:key@eth.example.com/v2/key`. */
export const showUrl = (text: string): string =>
  Option.match(parseUrl(text), {
    onNone: () => hidden,
    onSome: (url) => {
      // An `@` this late means that a password with an unescaped `/`, `?` or `#` was cut, and sits in the host or port.
      const rest = `${url.pathname}${url.search}${url.hash}`
      if (!schemes.has(url.protocol) || url.host === "" || rest.includes("@")) return hidden
      const more = url.username !== "" || url.password !== "" || (rest !== "" && rest !== "/")
      return `${url.protocol}//${url.host}${more ? "/…" : ""}`
    }
  })

/** A comma separated list of URLs. */
export const showUrls = (text: string): string =>
  text
    .split(",")
    .map((part) => showUrl(part.trim()))
    .join(", ")

/** A URL that lost a slash or two. */
const slipped = /\b(https?|wss?|postgres(ql)?|mysql|ftp):\S/i

/** What may be shown of a setting's text. */
export const show = (text: string, options: { readonly secret: boolean }): string => {
  if (options.secret || text.includes("://") || slipped.test(text)) return showUrls(text)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not reach a terminal
  const printable = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "?")
  return printable.length > longest ? `${printable.slice(0, longest)}…` : printable
}
