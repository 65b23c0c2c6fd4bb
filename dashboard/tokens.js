/** The card of the most moved tokens and pairs of the last hour, with the price of a pair minute by minute. */
import { $, h, put, replace, s } from "./dom.js"
import * as f from "./format.js"

const width = 132
const height = 30
/** Room for the line's own width. */
const edge = 3

/** A minute without a trade has the price of the one before; before the first trade there is none. */
const held = (closes) => {
  let price = null
  return closes.map((close) => {
    price = close ?? price
    return price
  })
}

/** The price as a line, highest at the top; where it never moved, a level one. */
const sparkline = (closes) => {
  const prices = held(closes)
  const known = prices.filter((price) => price !== null)
  if (known.length === 0) return "–"
  const [low, high] = [Math.min(...known), Math.max(...known)]
  const x = (i) => edge + (i / (prices.length - 1)) * (width - 2 * edge)
  const y = (price) =>
    high === low ? height / 2 : edge + ((high - price) / (high - low)) * (height - 2 * edge)
  const points = prices.flatMap((price, i) =>
    price === null ? [] : [`${x(i).toFixed(1)},${y(price).toFixed(1)}`]
  )
  const said = `Price in the last ${prices.length} minutes: between ${f.price(low)} and ${f.price(high)}, ${f.price(known.at(-1))} now`
  const [lastX, lastY] = points.at(-1).split(",")
  return s(
    "svg",
    { class: "spark", role: "img", "aria-label": said, viewBox: `0 0 ${width} ${height}`, width, height },
    s("polyline", { points: points.join(" ") }),
    s("circle", { cx: lastX, cy: lastY, r: 2.4 })
  )
}

const name = (address) =>
  h(
    "th",
    { scope: "row" },
    h("a", { href: `/api/tokens/${address}`, title: address }, h("code", {}, f.hash(address)))
  )

const number = (value) => h("td", { class: "n" }, f.count(value))

const pairRow = ({ buys, close, closes, last_price, open, pair, sells, trades }) =>
  h(
    "tr",
    {},
    name(pair),
    h("td", {}, sparkline(closes)),
    h("td", { class: "n", title: last_price ?? undefined }, f.price(last_price)),
    h("td", { class: "n" }, f.change(open, close)),
    number(trades),
    number(buys),
    number(sells)
  )

const tokenRow = ({ receivers, senders, token, transfers }) =>
  h("tr", {}, name(token), number(transfers), number(senders), number(receivers))

const none = (columns, said) => [h("tr", {}, h("td", { colspan: columns, class: "none" }, said))]

/** Without token metrics, and until they have been read for the first time, there is no card. */
export const tokens = (board) => {
  $("tokens").hidden = board == null
  if (board == null) return
  const { pairs, tokens: most } = board
  const block = Math.max(...[...pairs, ...most].map(({ as_of }) => as_of.number))
  put(
    "tokens-as-of",
    Number.isFinite(block) ? `The last hour, as of block ${f.count(block)}.` : "The last hour."
  )
  replace($("pairs-top"), pairs, () =>
    pairs.length === 0 ? none(7, "No trade in the last hour.") : pairs.map(pairRow)
  )
  replace($("tokens-top"), most, () =>
    most.length === 0 ? none(4, "No transfer in the last hour.") : most.map(tokenRow)
  )
}
