/**
 * Which fault an error answer is.
 *
 * **Details**: a code alone never classifies (-32005 is a rate limit here and a result too large there, -32602 a wide
 * range or a block past the head), so message, `data`, code and HTTP status are read together. The words come first,
 * in the order of the table below; status and code decide only where no words did. What nobody recognises is
 * `Rejected`, or `Unavailable` where it calls itself internal. **Nothing here can become an empty answer.**
 *
 * **Gotchas**: the order is head lag, filter and batch, range and size, quota and rate, missing data, unsupported,
 * unavailable. Three kinds stand before it, because they borrow words of the others: a revert says what its
 * contract likes ("max supply exceeded"), pruned history is told as a block "not found", and a rate limit on batches
 * names the batch. Filter and batch stand before range because their words are the narrower ones.
 */
import { type Option, Predicate } from "effect"
import * as Hints from "./Hints.ts"
import {
  BatchTooLarge,
  FilterTooLarge,
  HeadLag,
  MethodUnsupported,
  MissingData,
  QuotaExhausted,
  RangeTooLarge,
  RateLimited,
  type Reason,
  Rejected,
  ResponseTooLarge,
  shorten,
  Unavailable
} from "./ProviderFault.ts"

/** What an error answer says of itself, wherever it was found. */
export interface ErrorAnswer {
  /** Of HTTP. */
  readonly status: number
  /** Of JSON-RPC. */
  readonly code: number | undefined
  readonly message: string
  /** The `data` of the error: text, an object with hints, revert data or nothing. */
  readonly data: unknown
  /** Milliseconds, of the `Retry-After` header. */
  readonly retryAfter: Option.Option<number>
}

/** An answer with the words in it put together. */
interface Words {
  readonly answer: ErrorAnswer
  /** Message and the texts of `data`: what patterns are matched with. */
  readonly text: string
  /** The same for people. */
  readonly detail: string
}

/** Longer texts are echoes of a request, or pages. It also bounds what a pattern can cost. */
const textLimit = 4096

/** [what it is, words for it, the reason]: the first that matches. */
const table: ReadonlyArray<
  readonly [what: string, words: ReadonlyArray<RegExp>, make: (words: Words) => Reason]
> = [
  [
    "the EVM or the pool of transactions, in words of its own",
    [
      /execution reverted|\brevert(ed)?\b|\bvm (execution|exception)|invalid (opcode|jump)|stack (under|over)flow/i,
      /out of gas|\bgas (limit|price|required|too|uint64|fee)|intrinsic gas|insufficient (funds|balance for)/i,
      /nonce too|underpriced|already known|fee cap less|max fee per/i
    ],
    ({ detail }) => new Rejected({ detail })
  ],
  [
    "history that was thrown away, or never kept",
    [
      /missing trie node|prun(ed|ing)|archival|state histor|state (already )?discarded|\bancient\b|proof window/i,
      /archive (node|mode|data|state|access|support)|archive requests? (require|need)|requires? (an )?archive/i,
      /histor(y|ical)\b[^.]{0,60}(unavailable|not (been )?(available|found|supported|kept|stored))/i,
      /\b(no|unknown|world|unavailable) state\b|\bstate\b[^.]{0,120}(unavailable|not (available|found))|first available/i,
      /(lowest|earliest|oldest|first) (available |retained |known )?(block|height)|older than|(block|height)[^.]{0,30} too (old|low)/i,
      /\bno historical\b|historical (backend|rpc)|purged|too far in the past|does not exist on height|not available on this (node|server)/i,
      /(could not|failed to|unable to) (find|load|compute|get|read)( \w+){0,3} (state|results)\b|\b(body|bodies)\b[^.]{0,20} not found|(body|receipts?) (is |are )?(expired|deleted)/i
    ],
    ({ detail }) => new MissingData({ detail })
  ],
  [
    "a block that is not there yet",
    [
      /(beyond|after|ahead of|past|above|exceeds?|(higher|greater|larger|later) than)( the| its| our| current| latest| last| chain| known| accepted| finalized| best| local){0,4} (head|tip|height|block(?!s| range| gas| limit)|epoch)\b/i,
      /BlockOutOfRange|\bblock (number )?(is )?out of range|block (number |height )?(is )?too (high|new)|in the future|\bfuture (block|epoch)/i,
      /\b(blocks?|header|epoch|tipset)\b[^.]{0,80}(n[o']t (be )?(found|located)|(does not|doesn.t|not) exist|not (yet )?available|unavailable|is missing)/i,
      /(could not|cannot|can't|failed to|unable to) (find|get|load|fetch|retrieve|locate|resolve) (the |requested )?(block|header)\b/i,
      /(unknown|unsupported) (block|header|ancestor)\b(?! range)|\bno (such )?block\b|(header|block) ?not ?found|(not|n't exist) yet|unfinalized|must be less than or equal to the current/i,
      /not yet (available|synced|mined|indexed|produced|processed)|has not been (mined|produced|indexed|synced)/i,
      /invalid block height|(incorrect|no) head block|\bis behind (by|the)\b|resource not found|requested data (is )?not available|\bis (still )?syncing|not (fully )?synced|sync(ing)? in progress/i,
      // Geth says this of a range with its ends swapped, which is never asked for here, and of one whose end it
      // resolved to its own head, below the start.
      /invalid block range( params)?\W*$/i
    ],
    ({ detail, text }) => {
      const head = Hints.head(text)
      return new HeadLag({ detail, ...(head === undefined ? {} : { head }) })
    }
  ],
  [
    "the ends of a range in the wrong order",
    [
      /(from|begin|start)[ _]?(block)?\b[^.]{0,40}(greater|larger|higher|bigger|after|>)[^.]{0,20}\b(to|end)/i,
      /\b(to|end)[ _]?(block)?\b[^.]{0,40}(less|lower|smaller|before|<)[^.]{0,20}\b(from|begin|start)/i,
      /from[ _]?block (must|should|cannot|can't)[^.]{0,40}to[ _]?block(?! (difference|exceed))/i
    ],
    ({ detail }) => new Rejected({ detail })
  ],
  [
    "a rate of batches",
    [/batch[^.]{0,40}(rate.?limit|per (second|minute))|rate.?limit[^.]{0,40}batch/i],
    (words) => rateLimited(words)
  ],
  [
    "too many requests in a batch",
    [
      /batch\w*[^.]{0,40}(too (large|big|many|long)|exceed|limit|max|more than|not (supported|allowed|enabled)|unsupported|disabled)/i,
      /(too (large|big|many|long)|exceed\w*|limit\w*|max\w*|more than|not (support|allow)|unsupported|disabled?)[^.]{0,40}batch/i,
      /(requests|calls|items) (per|in (a|one|the)) batch/i
    ],
    ({ detail, answer, text }) => {
      const max = Hints.maxBatch(text, answer.data)
      return new BatchTooLarge({ detail, ...(max === undefined ? {} : { max }) })
    }
  ],
  [
    "too many addresses or topics",
    [
      /(max(imum)?|too many|more than|exceed\w*|less|fewer|limit\w*|up to|at most)[^.]{0,40}\b(address(es)?|(sub)?topics?|filters|parameters|params)\b/i,
      /\b(address(es)?|topics?|filters)\b[^.]{0,40}(too (many|large|long)|exceed|limit|more than|at most|max)/i,
      /contains \d+ (filters|addresses|topics)/i
    ],
    ({ detail, text }) => {
      const max = Hints.maxFilter(text)
      return new FilterTooLarge({ detail, ...(max === undefined ? {} : { max }) })
    }
  ],
  [
    "a wide range, or a range with more in it than is answered",
    [
      /\b(ranges?|blocks|block (span|window|interval|distance|count|difference)|logs|results?|events|entries|(from|to)[ _]?block)\b[^.]{0,80}(too (large|wide|big|high|long|many|broad|much)|exceed|limit|(larger|greater|bigger|more|less|fewer|smaller) than|\bmax|\bover\b|above|at most|threshold|not supported|not allowed|should work|cap of)/i,
      /(too (large|wide|big|high|long|many|broad)|exceed\w*|limit\w*|more than|max(imum)?|\bover|above|at most|up to|reduc\w+|narrow\w*|smaller|shorten|less|fewer|(re)?try with|split)\b[^.]{0,60}\b(ranges?|block[ -]ranges?|blocks|logs|results?|events|entries)\b/i,
      /log response size|query must be smaller|(log|logs|filter) query timed ?out|^query time(d )?out( exceeded)?\W*$|query duration/i,
      /range_?too_?|too_many_(results|logs|blocks)|query (returned|exceeds) (more|limit)|invalid epoch range/i
    ],
    (words) => rangeTooLarge(words)
  ],
  [
    "an answer of too many bytes",
    [
      /(response|payload|body|content|result|reply|entity|message|request (size|length))( \w+){0,2} (is |was |are )?(too (large|big)|exceed|larger than|greater than|should not)/i,
      /(exceed\w*|max(imum)?|too large|oversized)[^.]{0,30}\b(response|payload|body|result)\b/i
    ],
    ({ detail }) => new ResponseTooLarge({ detail })
  ],
  [
    "a day's or a month's share, used up",
    [
      /\b(daily|monthly|weekly|per (day|month)|quota|billing|payment required|overdue)\b|subscription[^.]{0,30}(expired|ended|inactive)/i,
      /(out of|insufficient|no( more)?|exhausted|run out of|not enough|exceeded[^.]{0,20}) (credits?|compute credits|requests)|credits? (is |are |have been |has been )?(exhausted|used up|depleted|exceeded)/i,
      /(free|current|your) (tier|plan|trial)\b[^.]{0,30} (limit|is exhausted|has ended|expired)|balance is (exhausted|empty|too low)|capacity limit/i,
      /(per|in|for) (today|24 ?h)|per 24/i
    ],
    (words) => quotaOrRate(words)
  ],
  [
    "too much in too little time",
    [
      /rate.?limit|ratelimit|too many (requests|calls|connections|concurrent)|requests? limit|limit of requests|throttl|slow ?down/i,
      /per[- ](second|minute|hour|sec|min|ip)\b|\d ?(\/|p)(s|sec|second|min|minute)\b|\b(rps|cups|cu\/s)\b|compute units?|throughput/i,
      /(max(imum)?|exceed\w*)[^.]{0,30}\b(requests|calls|concurren\w+)|requests? (count |rate )?(was |is |has )?(exceed|limited)|limit reached/i,
      /^limit exceeded\b|request exceeds (the )?(defined )?limit|(capacity|rate|usage) (limit )?exceeded|error code:? ?1015|being rate|requests? (are |is )?(currently |temporarily )?limited|too many [^.]{0,30}attempts|\b(http|status|code|error)\W{0,12}429\b|^429\b/i
    ],
    (words) => rateLimited(words)
  ],
  [
    "a key, an origin or an address that is not let in",
    [
      /unauthori[sz]ed|unauthenticated|authenticat|forbidden|access denied|permission denied|not authorized|error code:? ?10(06|07|08|09|10|20)\b/i,
      /(invalid|missing|unknown|wrong|expired|inactive|disabled)[^.]{0,20} (api|project|app|access|auth)\w*[ -]?(key|id|token)?\b|(api ?key|project id|token)[^.]{0,80}(invalid|not found|not valid|required|disabled|expired|does not exist|inactive)/i,
      /you have been blocked|not allowed to access|(ip|origin|host|domain) [^.]{0,60}(not (allowed|whitelisted|permitted)|blocked|banned)|invalid host|blocked (your|this) ip/i
    ],
    ({ detail }) => new Rejected({ detail })
  ],
  [
    "a method that it has not got",
    [
      /\bmethods?\b[^.]{0,80}(n[o']t (been )?(found|supported|available|exist|whitelisted|allowed|enabled|included|implemented|permitted|recognized|known)|doesn.t exist|disabled|unavailable|unsupported|restricted|blocked)/i,
      /(unsupported|unknown|unrecognized|no such|invalid|unimplemented|disabled|non-?existent)( rpc| json-?rpc)? (method|api|endpoint|function)|\bnot (yet )?implemented|unimplemented/i,
      /\b(eth|net|web3|trace|debug|erigon|ots|parity|arbtrace|bor|zks|txpool)_\w+[`'"]?[^.]{0,40}(not (supported|available|allowed|enabled|found|whitelisted|permitted)|disabled|unsupported|does not exist)/i,
      /is not (included|available|supported) (in|on|for|with) (your|the|this) [^.]{0,30}(plan|tier|chain|network)/i
    ],
    ({ detail }) => new MethodUnsupported({ detail })
  ],
  [
    "an endpoint that is not well",
    [
      /timed? ?out|timeout|deadline exceeded|context cancell?ed|temporar(y|ily)|unavailable|overload|too (busy|much load)|server (is )?busy|under (heavy|too much) load/i,
      /no (healthy |available )?(backend|upstream|node|server|provider|peer)s?\b|(backend|upstream|node|provider|server)s?\b[^.]{0,40}(offline|unhealthy|down|fail|error|not (healthy|ready|available|responding))|bad gateway/i,
      /connection (refused|reset|closed|error|terminat|fail|abort|was)|connect error|socket hang ?up|broken pipe|unexpected eof|\beof\b|econn|etimedout|enotfound|\bdns\b/i,
      /cannot assign|name resolution|no such host|(can.t|cannot|could not|unable to|failed to) (execute|process|handle|serve|forward|complete|reach|connect)|in progress/i,
      /internal|server error|try again|(please|will) retry|retry later|cannot fulfill|can.t route|maintenance|panic|crashed|something went wrong|error code:? ?5\d\d\b|just a moment|shutting down|starting up|not ready|origin (dns|is)/i
    ],
    (words) => unavailable(words)
  ]
]

/** The reason behind an error answer; see the module's doc for the order. */
export const classify = (answer: ErrorAnswer): Reason => {
  const text = [answer.message, ...textsOf(answer.data)].join(" ").trim().slice(0, textLimit)
  const words: Words = { answer, text, detail: detailOf(answer, text) }
  const row = table.find(([, patterns]) => patterns.some((pattern) => pattern.test(text)))
  return row === undefined ? withoutWords(words) : row[2](words)
}

/** Fewer letters than this are no sentence: `{"error": 7}`. */
const fewLetters = 5

const detailOf = ({ status }: ErrorAnswer, text: string): string => {
  if (text === "") return `HTTP ${status}`
  const words = shorten(text)
  return words.length < fewLetters ? `an error that says only ${words}` : words
}

/** Where the words say nothing, the HTTP status, then those codes that mean one thing only. */
const withoutWords = (words: Words): Reason => {
  const { detail } = words
  const { status, code } = words.answer
  if (status === 429 || code === 429) return rateLimited(words)
  if (status === 402) return quotaOrRate(words)
  if (status === 413) return new ResponseTooLarge({ detail })
  if (status === 401 || status === 403) return new Rejected({ detail })
  // 4444 is EIP-4444's: history that nobody has to keep.
  if (code === 4444) return new MissingData({ detail })
  if (code === -32601) return new MethodUnsupported({ detail })
  if (status >= 500 || status === 408 || status === 425 || code === -32603) return unavailable(words)
  return new Rejected({ detail })
}

const rateLimited = (words: Words): RateLimited => {
  const retryAfter = waitOf(words)
  const perSecond = Hints.perSecond(words.text, words.answer.data)
  return new RateLimited({
    detail: words.detail,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(perSecond === undefined ? {} : { perSecond })
  })
}

const waitOf = ({ answer, text }: Words) => Hints.wait(text, answer.data, answer.retryAfter)

/** A wait that ends before this is no wait for the next day. */
const shortWait = 5 * 60_000

/**
 * Infura goes on serving at `allowed_rps` once the "daily request count" is exceeded, and tells to come back in 30
 * seconds: whoever tells a short wait, or a rate, limits the rate, whatever it counts by.
 */
const quotaOrRate = (words: Words): Reason => {
  const rate = rateLimited(words)
  const { retryAfter } = rate
  const soon = retryAfter !== undefined && retryAfter <= shortWait
  return soon || rate.perSecond !== undefined || /per second capacity/i.test(words.text)
    ? rate
    : new QuotaExhausted({ detail: words.detail, ...(retryAfter === undefined ? {} : { retryAfter }) })
}

const unavailable = (words: Words): Unavailable => {
  const retryAfter = waitOf(words)
  return new Unavailable({ detail: words.detail, ...(retryAfter === undefined ? {} : { retryAfter }) })
}

const rangeTooLarge = ({ answer, detail, text }: Words): RangeTooLarge => {
  const suggested = Hints.suggested(text, answer.data)
  const maxBlocks = Hints.maxBlocks(text, answer.data)
  return new RangeTooLarge({
    detail,
    ...(suggested === undefined ? {} : { suggested }),
    ...(maxBlocks === undefined || maxBlocks === 0 ? {} : { maxBlocks })
  })
}

/** The sentences in `data`, without what echoes the request. */
const textsOf = (data: unknown, depth = 4): ReadonlyArray<string> => {
  if (typeof data === "string") return /^0x[0-9a-f]*$/i.test(data) ? [] : [data.slice(0, textLimit)]
  if (depth === 0) return []
  if (Array.isArray(data)) return data.slice(0, 8).flatMap((item) => textsOf(item, depth - 1))
  if (!Predicate.isObject(data)) return []
  return Object.entries(data).flatMap(([key, value]) => (echoes.has(key) ? [] : textsOf(value, depth - 1)))
}

const echoes: ReadonlySet<string> = new Set([
  "request",
  "requestBody",
  "request_body",
  "requestMethod",
  "params",
  "method",
  "see",
  "stack",
  "trace",
  "url",
  "id",
  "jsonrpc"
])
