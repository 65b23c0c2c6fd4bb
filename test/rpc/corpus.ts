/** What providers, clients and gateways really say, in their words, and which reason it is. */
import type { Reason } from "../../src/rpc/ProviderFault.ts"

export interface Saying {
  readonly who: string
  readonly tag: Reason["_tag"]
  readonly message: string
  readonly code?: number
  /** Of HTTP; 200 where it is not told. */
  readonly status?: number
  readonly data?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** All that the reason must know besides its detail. */
  readonly hints?: Readonly<Record<string, unknown>>
}

export const corpus: ReadonlyArray<Saying> = [
  {
    who: "Alchemy",
    tag: "RangeTooLarge",
    message:
      "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based on your parameters and the response size limit, this block range should work: [0x0, 0xd043b8]",
    code: -32602,
    hints: { suggested: { from: 0, to: 13648824 }, maxBlocks: 2000 }
  },
  {
    who: "Alchemy, hint inverted",
    tag: "RangeTooLarge",
    message:
      "Log response size exceeded. Based on your parameters and the response size limit, this block range should work: [0x20, 0x10]",
    code: -32602,
    hints: { suggested: { from: 16, to: 32 } }
  },
  {
    who: "Alchemy, hint nonsense",
    tag: "RangeTooLarge",
    message:
      "Log response size exceeded. Based on your parameters, this block range should work: [0x0, 0xffffffffffffffff]",
    code: -32602
  },
  {
    who: "Alchemy",
    tag: "RateLimited",
    message:
      "Your app has exceeded its compute units per second capacity. If you have retries enabled, you can safely ignore this message. If not, check out https://docs.alchemy.com/reference/throughput",
    code: 429,
    status: 429
  },
  {
    who: "Alchemy in a batch",
    tag: "RateLimited",
    message: "Your app has exceeded its compute units per second capacity.",
    code: 429
  },
  {
    who: "Alchemy",
    tag: "QuotaExhausted",
    message:
      "Monthly capacity limit exceeded. Visit https://dashboard.alchemy.com/settings/billing to upgrade your scaling policy for continued service.",
    code: 429,
    status: 429
  },
  {
    who: "Alchemy free tier",
    tag: "RangeTooLarge",
    message:
      "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [0x178ef4c, 0x178ef55]. Upgrade to PAYG for expanded block range.",
    code: -32600,
    status: 400,
    hints: { suggested: { from: 24702796, to: 24702805 }, maxBlocks: 10 }
  },
  {
    who: "Alchemy Polygon",
    tag: "RangeTooLarge",
    message:
      "Query timeout exceeded. Consider reducing your block range. Based on your parameters and the response size limit, this block range should work: [0x0, 0x1360b8a]",
    code: -32000,
    hints: { suggested: { from: 0, to: 20319114 } }
  },
  {
    who: "Alchemy",
    tag: "ResponseTooLarge",
    message: "Response size is larger than 150MB limit.",
    code: -32000
  },
  {
    who: "Alchemy",
    tag: "MethodUnsupported",
    message:
      "eth_getBlockReceipts is not available on the Free tier - upgrade to Pay As You Go, or Enterprise for access.",
    code: -32600,
    status: 400
  },
  { who: "Alchemy", tag: "Rejected", message: "Must be authenticated!", code: -32600, status: 401 },
  {
    who: "Infura",
    tag: "RangeTooLarge",
    message: "query returned more than 10000 results. Try with this block range [0xBDE5F8, 0x102DBCC].",
    code: -32005,
    hints: { suggested: { from: 12445176, to: 16964556 } }
  },
  {
    who: "Infura, structured",
    tag: "RangeTooLarge",
    message: "query returned more than 10000 results",
    code: -32005,
    data: { from: "0xBDE5F8", limit: 10000, to: "0x102DBCC" },
    hints: { suggested: { from: 12445176, to: 16964556 } }
  },
  {
    who: "Infura",
    tag: "RateLimited",
    message: "daily request count exceeded, request rate limited",
    code: -32005,
    status: 429,
    data: {
      rate: { allowed_rps: 1, backoff_seconds: 30, current_rps: 1.1 },
      see: "https://infura.io/dashboard"
    },
    hints: { retryAfter: 30000, perSecond: 1 }
  },
  {
    who: "Infura without data",
    tag: "QuotaExhausted",
    message: "daily request count exceeded, request rate limited",
    code: -32005,
    status: 429
  },
  {
    who: "Infura",
    tag: "RateLimited",
    message: "project ID request rate exceeded",
    code: -32005,
    status: 429
  },
  { who: "Infura", tag: "Rejected", message: "project ID is required", code: -32600, status: 401 },
  { who: "Infura", tag: "Rejected", message: "invalid project id", status: 401 },
  {
    who: "Infura",
    tag: "FilterTooLarge",
    message: "This query contains 5006 filters. The current limit is 5000.",
    code: -32602,
    hints: { max: 5000 }
  },
  { who: "Infura", tag: "RangeTooLarge", message: "query timeout exceeded", code: -32005 },
  {
    who: "Infura",
    tag: "RangeTooLarge",
    message: "range 1000000 exceeds limit of 10000",
    code: -32602,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "QuickNode",
    tag: "RangeTooLarge",
    message: "eth_getLogs is limited to a 10,000 range",
    code: -32614,
    status: 413,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "QuickNode",
    tag: "RangeTooLarge",
    message: "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range",
    code: -32602,
    status: 413,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "QuickNode free",
    tag: "RangeTooLarge",
    message: "eth_getLogs is limited to a 5 range",
    code: -32614,
    status: 413,
    hints: { maxBlocks: 5 }
  },
  {
    who: "QuickNode",
    tag: "RateLimited",
    message:
      "50/second request limit reached - reduce calls per second or upgrade your account at quicknode.com",
    code: -32007,
    status: 429,
    hints: { perSecond: 50 }
  },
  { who: "QuickNode", tag: "RateLimited", message: "credits limited to 6000/sec", code: -32012, status: 429 },
  {
    who: "QuickNode",
    tag: "RateLimited",
    message: "eth_getLogs requests limited to 15/sec",
    code: -32005,
    status: 429,
    hints: { perSecond: 15 }
  },
  {
    who: "QuickNode",
    tag: "QuotaExhausted",
    message: "daily request limit reached - upgrade your account at quicknode.com",
    code: -32003,
    status: 429
  },
  { who: "Ankr", tag: "RangeTooLarge", message: "block range is too wide", code: -32600 },
  { who: "Ankr", tag: "RangeTooLarge", message: "Block range is too large", code: -32062 },
  {
    who: "Ankr",
    tag: "RateLimited",
    message: "Too many requests, reason: call rate limit exhausted, retry in 10m0s",
    code: -32090,
    status: 429,
    hints: { retryAfter: 600000 }
  },
  {
    who: "Ankr",
    tag: "Rejected",
    message:
      "Unauthorized: You must authenticate your request with an API key. Create an account on https://www.ankr.com/rpc/ and generate your personal API key for free.",
    code: -32000,
    status: 403
  },
  {
    who: "Ankr",
    tag: "Rejected",
    message: "API key is not allowed to access blockchain, reason: free tier",
    code: -32053,
    status: 403
  },
  {
    who: "Ankr on TAC, Evmos, Cronos, Injective",
    tag: "RangeTooLarge",
    message: "maximum [from, to] blocks distance: 10000",
    code: -32000,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "publicnode",
    tag: "RangeTooLarge",
    message: "exceed maximum block range: 50000",
    code: -32701,
    hints: { maxBlocks: 50000 }
  },
  {
    who: "publicnode",
    tag: "Rejected",
    message:
      "Please specify an address in your request or, to remove restrictions, order a dedicated full node here: https://www.allnodes.com/eth/host",
    code: -32701
  },
  {
    who: "publicnode",
    tag: "FilterTooLarge",
    message: "Please, specify less number of addresses",
    code: -32701
  },
  {
    who: "publicnode",
    tag: "MissingData",
    message: "Archive requests require a personal token. Get one at https://www.allnodes.com/publicnode",
    code: -32602,
    status: 403
  },
  {
    who: "publicnode",
    tag: "RangeTooLarge",
    message: "This range of parameters is not supported",
    code: -32701
  },
  {
    who: "Cloudflare",
    tag: "RangeTooLarge",
    message: "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800",
    code: -32047,
    hints: { maxBlocks: 800 }
  },
  { who: "Cloudflare", tag: "RangeTooLarge", message: "Max range: 800", hints: { maxBlocks: 800 } },
  { who: "Cloudflare", tag: "Unavailable", message: "Cannot fulfill request", code: -32046 },
  { who: "Cloudflare", tag: "RateLimited", message: "error code: 1015", status: 429 },
  { who: "Cloudflare", tag: "RateLimited", message: "error code: 1015" },
  { who: "Cloudflare", tag: "Rejected", message: "error code: 1020", status: 403 },
  { who: "Cloudflare", tag: "Unavailable", message: "error code: 522", status: 522 },
  { who: "Cloudflare", tag: "Unavailable", message: "error code: 502", status: 502 },
  {
    who: "dRPC",
    tag: "RangeTooLarge",
    message: "ranges over 10000 blocks are not supported on freetier",
    code: 35,
    status: 400,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "dRPC",
    tag: "Unavailable",
    message: "Request timeout on the free tier, please upgrade your tier to the paid one",
    code: 30,
    status: 408
  },
  {
    who: "dRPC",
    tag: "BatchTooLarge",
    message:
      "Batch of more than 3 requests are not allowed on free tier, to use this feature register paid account at drpc.org",
    code: 31,
    status: 500,
    hints: { max: 3 }
  },
  {
    who: "dRPC",
    tag: "Unavailable",
    message:
      "Can't route your request to suitable provider, if you specified certain providers revise the list",
    code: 12,
    status: 400
  },
  {
    who: "dRPC",
    tag: "MissingData",
    message: "Unknown state. First available state is 1",
    code: 27,
    status: 400
  },
  {
    who: "dRPC",
    tag: "Unavailable",
    message: "Temporary internal error. Please retry, trace-id: 4a7fe4b4d34c7ba0",
    code: 19,
    status: 500
  },
  {
    who: "dRPC",
    tag: "MethodUnsupported",
    message: "method eth_getBlockReceipts is not available on freetier",
    code: 35,
    status: 400
  },
  {
    who: "dRPC",
    tag: "QuotaExhausted",
    message: "You've reached the free tier limits, please upgrade",
    status: 429
  },
  {
    who: "Base proxyd",
    tag: "Unavailable",
    message: "no backend is currently healthy to serve traffic",
    code: -32011,
    status: 503
  },
  {
    who: "Base proxyd",
    tag: "ResponseTooLarge",
    message: "backend response too large",
    code: -32020,
    status: 500
  },
  { who: "proxyd", tag: "RateLimited", message: "over rate limit", code: -32016, status: 429 },
  { who: "proxyd", tag: "RateLimited", message: "sender is over rate limit", code: -32017, status: 429 },
  { who: "proxyd", tag: "Unavailable", message: "backend is offline", code: -32014, status: 503 },
  {
    who: "proxyd",
    tag: "Unavailable",
    message: "backend returned an invalid response",
    code: -32001,
    status: 502
  },
  {
    who: "proxyd",
    tag: "MethodUnsupported",
    message: "rpc method is not whitelisted",
    code: -32001,
    status: 403
  },
  { who: "proxyd", tag: "HeadLag", message: "block is out of range", code: -32019, status: 400 },
  {
    who: "proxyd",
    tag: "RangeTooLarge",
    message: "block range greater than 10000 max",
    code: -32020,
    status: 400,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "proxyd",
    tag: "BatchTooLarge",
    message: "over batch size limit, max 10",
    code: -32014,
    status: 413,
    hints: { max: 10 }
  },
  {
    who: "proxyd",
    tag: "BatchTooLarge",
    message: "too many RPC calls in batch request",
    code: -32013,
    status: 400
  },
  { who: "proxyd", tag: "ResponseTooLarge", message: "request body too large", code: -32021, status: 413 },
  {
    who: "Coinbase",
    tag: "RangeTooLarge",
    message: "please limit the query to at most 1000 blocks",
    code: -32602,
    hints: { maxBlocks: 1000 }
  },
  {
    who: "Base behind a proxy",
    tag: "RateLimited",
    message:
      '429 Too Many Requests: {"jsonrpc":"2.0","error":{"code":-32016,"message":"over rate limit"},"id":2239375}\n',
    code: -32000
  },
  {
    who: "a 429 inside a message",
    tag: "RateLimited",
    message: '{"code":429,"message":"app limit"}',
    code: -32603
  },
  {
    who: "BSC",
    tag: "RateLimited",
    message: "method eth_getLogs in batch triggered rate limit",
    code: -32005
  },
  { who: "BSC", tag: "RateLimited", message: "limit exceeded", code: -32005 },
  {
    who: "NodeReal",
    tag: "RangeTooLarge",
    message: "exceed maximum block range: 5000",
    code: -32000,
    hints: { maxBlocks: 5000 }
  },
  { who: "Geth", tag: "HeadLag", message: "block range extends beyond current head block", code: -32602 },
  { who: "Geth", tag: "HeadLag", message: "invalid block range params", code: -32602 },
  { who: "Geth", tag: "HeadLag", message: "header not found", code: -32000 },
  { who: "Geth", tag: "HeadLag", message: "unknown block", code: -32000 },
  { who: "Geth", tag: "HeadLag", message: "header for hash not found", code: -32000 },
  { who: "Geth", tag: "HeadLag", message: "finalized block not found", code: -32000 },
  { who: "Geth", tag: "HeadLag", message: "safe block not found", code: -32000 },
  { who: "Geth", tag: "HeadLag", message: "block #21000001 not found", code: -32000 },
  {
    who: "Geth",
    tag: "MissingData",
    message:
      "missing trie node e583a447fd17ebc7a9df4ecd4e4084589b8088a54cd9803d46e4d5193dab2a93 (path ) state 0xe583a447fd17ebc7a9df4ecd4e4084589b8088a54cd9803d46e4d5193dab2a93 is not available",
    code: -32000
  },
  {
    who: "Geth",
    tag: "MissingData",
    message: "required historical state unavailable (reexec=128)",
    code: -32000
  },
  { who: "Geth", tag: "Unavailable", message: "request timed out", code: -32002 },
  { who: "Geth", tag: "Unavailable", message: "context deadline exceeded", code: -32000 },
  { who: "Geth", tag: "Unavailable", message: "method handler crashed", code: -32603 },
  { who: "Geth", tag: "ResponseTooLarge", message: "response too large", code: -32003 },
  { who: "Geth", tag: "BatchTooLarge", message: "batch too large", code: -32600 },
  { who: "Geth", tag: "MissingData", message: "pruned history unavailable", code: 4444 },
  { who: "Geth", tag: "FilterTooLarge", message: "exceed max topics", code: -32000 },
  {
    who: "Geth",
    tag: "FilterTooLarge",
    message: "exceed max addresses or topics per search position",
    code: -32000
  },
  {
    who: "Geth",
    tag: "MethodUnsupported",
    message: "the method eth_getBlockReceipts does not exist/is not available",
    code: -32601
  },
  {
    who: "Geth",
    tag: "Rejected",
    message: "invalid argument 0: hex string has length 38, want 40 for common.Address",
    code: -32602
  },
  { who: "Geth", tag: "Rejected", message: "missing value for required argument 0", code: -32602 },
  { who: "Geth", tag: "Rejected", message: "execution reverted: max supply exceeded", code: 3 },
  { who: "Geth", tag: "Rejected", message: "gas limit exceeded", code: -32000 },
  {
    who: "Geth",
    tag: "Rejected",
    message: "out of gas: gas required exceeds allowance (550000000)",
    code: -32000
  },
  { who: "Geth", tag: "Rejected", message: "nonce too low: next nonce 5, tx nonce 4", code: -32000 },
  { who: "Geth", tag: "Rejected", message: "invalid host specified", status: 403 },
  {
    who: "Reth",
    tag: "RangeTooLarge",
    message: "query exceeds max block range 100000",
    code: -32602,
    hints: { maxBlocks: 100000 }
  },
  {
    who: "Reth",
    tag: "RangeTooLarge",
    message: "query exceeds max results 20000, retry with the range 22382105-22382515",
    code: -32602,
    hints: { suggested: { from: 22382105, to: 22382515 } }
  },
  {
    who: "Reth",
    tag: "HeadLag",
    message: "block range extends beyond current head block: requested 21000100, head 21000000",
    code: -32602,
    hints: { head: 21000000 }
  },
  { who: "Reth", tag: "HeadLag", message: "block not found: 0x1406f41", code: -32001 },
  { who: "Reth", tag: "MissingData", message: "state at block #18000000 is pruned", code: -32000 },
  {
    who: "Reth",
    tag: "MissingData",
    message: "distance to target block exceeds maximum proof window",
    code: -32000
  },
  {
    who: "Reth, jsonrpsee",
    tag: "ResponseTooLarge",
    message: "Response is too big",
    code: -32008,
    data: "Exceeded max limit of 167772160"
  },
  {
    who: "Reth, jsonrpsee",
    tag: "BatchTooLarge",
    message: "The batch request was too large",
    code: -32010,
    data: "Exceeded max limit of 100",
    hints: { max: 100 }
  },
  {
    who: "Reth, jsonrpsee",
    tag: "BatchTooLarge",
    message: "Batched requests are not supported by this server",
    code: -32005
  },
  {
    who: "Nethermind",
    tag: "RangeTooLarge",
    message: "Too many logs requested. Max logs per response is 20000.",
    code: -32005
  },
  {
    who: "Nethermind",
    tag: "RangeTooLarge",
    message: "invalid params",
    code: -32602,
    data: "Query returned more than 50000 results. Try with this block range [0x1000000, 0x1080000].",
    hints: { suggested: { from: 16777216, to: 17301504 } }
  },
  {
    who: "Nethermind",
    tag: "MissingData",
    message:
      "No state available for block 36600 (0x985a2c91d049da6d8f54533284bbc905ba8927c42aa1ddace1984e804a1933ff)",
    code: -32002
  },
  { who: "Nethermind", tag: "HeadLag", message: "Block 0x1406f41 could not be found", code: -32001 },
  {
    who: "Nethermind",
    tag: "Unavailable",
    message: "eth_getLogs request was canceled due to enabled timeout.",
    code: -32016
  },
  { who: "Nethermind", tag: "BatchTooLarge", message: "Batch size limit exceeded", code: -32005 },
  {
    who: "Besu",
    tag: "RangeTooLarge",
    message: "Requested range exceeds maximum RPC range limit",
    code: -32005
  },
  { who: "Besu", tag: "BatchTooLarge", message: "Number of requests exceeds max batch size", code: -32005 },
  { who: "Besu", tag: "HeadLag", message: "Unknown block", code: -39001 },
  { who: "Besu", tag: "MissingData", message: "World state unavailable", code: -32000 },
  { who: "Besu", tag: "MethodUnsupported", message: "Method not enabled", code: -32604 },
  {
    who: "Anvil",
    tag: "HeadLag",
    message: "BlockOutOfRangeError: block height is 0 but requested was 100",
    code: -32602,
    hints: { head: 0 }
  },
  { who: "Anvil", tag: "HeadLag", message: "unknown block", code: -32000 },
  { who: "Hardhat", tag: "Rejected", message: "Transaction reverted without a reason string", code: -32603 },
  { who: "Erigon", tag: "Rejected", message: "end (5) < begin (10)", code: -32602 },
  { who: "Erigon", tag: "HeadLag", message: "block not found: 21000001", code: -32000 },
  { who: "Erigon", tag: "MissingData", message: "old data not available due to pruning", code: -32000 },
  { who: "Erigon", tag: "MissingData", message: "history has been purged for block 100", code: -32000 },
  {
    who: "cdk-erigon",
    tag: "RangeTooLarge",
    message: "block range too large, max range: 5000",
    code: -32005,
    hints: { maxBlocks: 5000 }
  },
  {
    who: "OpenEthereum",
    tag: "HeadLag",
    message: "One of the blocks specified in filter (fromBlock, toBlock or blockHash) cannot be found",
    code: -32000
  },
  {
    who: "OpenEthereum, Fuse",
    tag: "MissingData",
    message:
      "This request is not supported because your node is running with state pruning. Run with --pruning=archive.",
    code: -32000
  },
  { who: "EthereumJS", tag: "HeadLag", message: "specified block greater than current height", code: -32602 },
  { who: "Bor, Polygon", tag: "RangeTooLarge", message: "Block range is too large", code: -32062 },
  {
    who: "Polygon behind 1RPC",
    tag: "RangeTooLarge",
    message: "eth_getLogs is limited to a 10,000 range",
    code: -32602,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "1RPC",
    tag: "ResponseTooLarge",
    message: "response size should not greater than 10000000 bytes",
    code: -32602
  },
  {
    who: "1RPC",
    tag: "QuotaExhausted",
    message: "You've reached the daily quota limit of your plan",
    code: -32001,
    status: 429
  },
  {
    who: "op-geth",
    tag: "MissingData",
    message: "no historical RPC is available for this historical (pre-bedrock) execution request",
    code: -32000
  },
  { who: "op-geth", tag: "MissingData", message: "historical backend error", code: -32000 },
  {
    who: "Nitro, Robinhood",
    tag: "RangeTooLarge",
    message: "logs matched by query exceeds limit of 10000",
    code: -32000
  },
  { who: "Nitro, Robinhood", tag: "RangeTooLarge", message: "log query timed out", code: -32000 },
  { who: "Arbitrum", tag: "HeadLag", message: "unsupported block number 500", code: -32000 },
  {
    who: "zkSync",
    tag: "RangeTooLarge",
    message: "Query returned more than 10000 results. Try with this block range [0x118dc91, 0x1198cc3].",
    code: -32602,
    hints: { suggested: { from: 18406545, to: 18451651 } }
  },
  { who: "zkSync", tag: "HeadLag", message: "Block with such an ID doesn't exist yet", code: -32602 },
  {
    who: "zkSync",
    tag: "MissingData",
    message: "Block with such an ID is pruned; the first retained block is 100",
    code: -32602
  },
  { who: "zkSync", tag: "FilterTooLarge", message: "Exceeded maximum number of topics", code: -32602 },
  {
    who: "Avalanche",
    tag: "RangeTooLarge",
    message: "requested too many blocks from 1 to 5000, maximum is set to 2048",
    code: -32000,
    hints: { maxBlocks: 2048 }
  },
  {
    who: "Avalanche",
    tag: "HeadLag",
    message: "requested from block 23734227 after last accepted block 23734226",
    code: -32000,
    hints: { head: 23734226 }
  },
  { who: "Avalanche", tag: "HeadLag", message: "cannot query unfinalized data", code: -32000 },
  {
    who: "Cosmos, Kava",
    tag: "MissingData",
    message: "height 5 is not available, lowest height is 1000",
    code: -32000
  },
  {
    who: "Cosmos, Evmos",
    tag: "HeadLag",
    message: "height 100 must be less than or equal to the current blockchain height 90",
    code: -32603,
    hints: { head: 90 }
  },
  {
    who: "Cosmos, Evmos",
    tag: "RangeTooLarge",
    message: "query returned more than 10000 results",
    code: -32000
  },
  {
    who: "Cronos",
    tag: "MissingData",
    message: "Version has either been pruned, or is for a future block",
    code: -32000
  },
  { who: "Sei", tag: "MissingData", message: "evm module does not exist on height 5", code: -32000 },
  {
    who: "Sei",
    tag: "RangeTooLarge",
    message: "block range too large (5000), maximum allowed is 2000 blocks",
    code: -32000,
    hints: { maxBlocks: 2000 }
  },
  { who: "Sei", tag: "MissingData", message: "could not find results for height #100", code: -32000 },
  { who: "0G", tag: "MissingData", message: "failed to load state at height 100", code: -32000 },
  { who: "Kaia", tag: "HeadLag", message: "the block does not exist (block number: 21000001)", code: -32000 },
  { who: "Fantom", tag: "MissingData", message: "state does not maintain archive data", code: -32000 },
  {
    who: "Harmony",
    tag: "RangeTooLarge",
    message: "query must be smaller than size 1024",
    code: -32000,
    hints: { maxBlocks: 1024 }
  },
  {
    who: "Harmony",
    tag: "HeadLag",
    message: "requested block number greater than current block number",
    code: -32000
  },
  {
    who: "Moonbeam",
    tag: "RangeTooLarge",
    message: "block range is too wide (maximum 1024)",
    code: -32603,
    hints: { maxBlocks: 1024 }
  },
  { who: "Moonbeam", tag: "MissingData", message: "State already discarded for 0x98af9b2d", code: -32603 },
  { who: "Frontier", tag: "RangeTooLarge", message: "query returned more than 10000 results", code: -32603 },
  {
    who: "Acala",
    tag: "BatchTooLarge",
    message: "Exceeded maximum batch size 100",
    code: -32600,
    hints: { max: 100 }
  },
  { who: "Rootstock", tag: "MissingData", message: "State not found for block 100", code: -32000 },
  {
    who: "Hedera",
    tag: "RateLimited",
    message: "[Request ID: 6dcd2378-defa-47d2-8de6-74c3bdfc6600] IP Rate limit exceeded on eth_getLogs",
    code: -32605,
    status: 429
  },
  {
    who: "Hedera",
    tag: "RangeTooLarge",
    message: "Exceeded maximum block range: 1000",
    code: -32000,
    hints: { maxBlocks: 1000 }
  },
  {
    who: "Hedera",
    tag: "RangeTooLarge",
    message:
      "The provided fromBlock and toBlock contain timestamps that exceed the maximum allowed duration of 7 days (604800 seconds): fromBlock: 0x1 (1), toBlock: 0x2 (2)",
    code: -32004
  },
  {
    who: "Hedera",
    tag: "Unavailable",
    message: "Mirror node upstream failure: statusCode=503, message=Service unavailable",
    code: -32020
  },
  { who: "Filecoin", tag: "RangeTooLarge", message: "invalid epoch range", code: 1 },
  {
    who: "Filecoin",
    tag: "MissingData",
    message: "invalid epoch range: from block is too far in the past (maximum: 60480)",
    code: 1
  },
  { who: "Filecoin", tag: "MissingData", message: "failed to compute tipset state", code: 1 },
  { who: "Filecoin", tag: "HeadLag", message: "requested a future epoch (beyond 'latest')", code: 1 },
  { who: "Hyperliquid", tag: "HeadLag", message: "invalid block height: 18444840", code: -32603 },
  { who: "Hyperliquid", tag: "RateLimited", message: "rate limited", code: -32005 },
  { who: "Monad", tag: "RangeTooLarge", message: "block range too large", code: -32602 },
  {
    who: "Monad",
    tag: "MissingData",
    message:
      "Block requested not found. Request might be querying historical state that is not available. If possible, reformulate query to point to more recent blocks",
    code: -32602
  },
  {
    who: "Somnia",
    tag: "RangeTooLarge",
    message: "block range exceeds 1000",
    code: -32000,
    hints: { maxBlocks: 1000 }
  },
  {
    who: "Swell",
    tag: "RangeTooLarge",
    message: "block range greater than 10000 max",
    code: -32602,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "Tron",
    tag: "RangeTooLarge",
    message: "exceed max block range: 5000",
    code: -32000,
    hints: { maxBlocks: 5000 }
  },
  {
    who: "Morph",
    tag: "RangeTooLarge",
    message: "block range is larger than max block range, block range = 5120, max block range = 5000",
    code: -32000,
    hints: { maxBlocks: 5000 }
  },
  { who: "Scroll", tag: "RangeTooLarge", message: "block range is bigger than maxBlockRange", code: -32000 },
  {
    who: "Aurora",
    tag: "RangeTooLarge",
    message: "You can make eth_getLogs requests with up to a 2,000 block range.",
    code: -32602,
    hints: { maxBlocks: 2000 }
  },
  {
    who: "Aurora, echo of the request",
    tag: "RangeTooLarge",
    message: "query returned more than 10000 results",
    code: -32005,
    data: {
      host: "localhost:8545",
      request_body: { method: "eth_getLogs", params: [{ fromBlock: 68851952, toBlock: 69321936 }] }
    }
  },
  { who: "Candle", tag: "RangeTooLarge", message: "block range too high", code: -32600 },
  {
    who: "Energy Web",
    tag: "RangeTooLarge",
    message: "Limit exceeded: Query requested more than 10,000 blocks",
    code: -32005,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "Etherlink",
    tag: "RangeTooLarge",
    message: "Requested block range is above the maximum",
    code: -32000
  },
  { who: "Arc", tag: "RangeTooLarge", message: "requested range too large", code: -32012 },
  {
    who: "Arc",
    tag: "RangeTooLarge",
    message: "Query exceeds max block range of 10000",
    code: -32600,
    hints: { maxBlocks: 10000 }
  },
  { who: "Arc", tag: "HeadLag", message: "requested data not available", code: -32014 },
  { who: "X Layer", tag: "RateLimited", message: "over rate limit", code: -32016 },
  {
    who: "Tenderly",
    tag: "RangeTooLarge",
    message: "invalid params",
    code: -32602,
    data: {
      error_id: "4ed94073-0317-4648-a167-107fba5f44b3",
      payload: "range 9009594 is bigger than range limit 2000"
    },
    hints: { maxBlocks: 2000 }
  },
  {
    who: "Thirdweb",
    tag: "RangeTooLarge",
    message: "Maximum allowed number of requested blocks is 1000",
    code: -32602,
    hints: { maxBlocks: 1000 }
  },
  {
    who: "Blast",
    tag: "RangeTooLarge",
    message: "block range exceeds the range allowed for your plan (20000 > 5000)",
    code: -32600,
    hints: { maxBlocks: 5000 }
  },
  {
    who: "BlockPi",
    tag: "RangeTooLarge",
    message: "eth_getLogs is limited to 1024 block range",
    code: -32602,
    hints: { maxBlocks: 1024 }
  },
  {
    who: "LlamaRPC",
    tag: "RangeTooLarge",
    message: "eth_getLogs range is too large, max is 1k blocks",
    code: -32603,
    hints: { maxBlocks: 1000 }
  },
  {
    who: "Merkle",
    tag: "RangeTooLarge",
    message: "eth_getLogs range is too large, max is 10k blocks",
    code: -32603,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "Chainstack",
    tag: "RangeTooLarge",
    message:
      "Block range limit exceeded. See more details at https://docs.chainstack.com/docs/limits#evm-range-limits",
    code: -32002
  },
  {
    who: "Chainstack",
    tag: "RateLimited",
    message:
      "You've exceeded the RPS limit available on the current plan. Learn more: https://docs.chainstack.com/docs/limits",
    code: -32005,
    status: 429
  },
  {
    who: "Chainstack",
    tag: "MissingData",
    message: "Access to archival, debug, or trace data is not included in your current plan",
    code: -32002,
    status: 403
  },
  {
    who: "GetBlock",
    tag: "RangeTooLarge",
    message: "range is too large, max block range is 2000",
    code: -32000,
    hints: { maxBlocks: 2000 }
  },
  { who: "GetBlock", tag: "Rejected", message: "Access denied: invalid access token", status: 403 },
  {
    who: "OnFinality",
    tag: "RateLimited",
    message:
      "Too Many Requests, Please apply an OnFinality API key or contact us to receive a higher rate limit",
    code: -32029,
    status: 429
  },
  { who: "OnFinality", tag: "HeadLag", message: "Unknown block number", code: -32602 },
  { who: "OMNIA", tag: "Unavailable", message: "upstream request timeout", status: 504 },
  {
    who: "Pokt, Grove",
    tag: "Unavailable",
    message: "no healthy nodes available for the request",
    code: -32000
  },
  {
    who: "ZAN",
    tag: "RateLimited",
    message: "The current request is limited to 10 requests per second",
    code: -32000,
    status: 429,
    hints: { perSecond: 10 }
  },
  {
    who: "Etherscan proxy",
    tag: "RateLimited",
    message: "NOTOK Max calls per sec rate limit reached (5/sec)"
  },
  { who: "Etherscan", tag: "Rejected", message: "NOTOK Missing/Invalid API Key" },
  { who: "Blockscout", tag: "Rejected", message: "Missed `to` address" },
  { who: "Blockscout", tag: "QuotaExhausted", message: "Payment Required", status: 402 },
  {
    who: "Moralis",
    tag: "QuotaExhausted",
    message:
      "Your plan: free-plan-daily total included usage has been consumed, please upgrade your plan here",
    status: 401
  },
  { who: "MegaETH", tag: "RateLimited", message: "Rate limit exceeded", code: -32005, status: 429 },
  {
    who: "eRPC",
    tag: "RateLimited",
    message: "project-level rate limit exceeded",
    code: -32005,
    status: 429
  },
  { who: "eRPC", tag: "Unavailable", message: "all upstream attempts failed", code: -32603, status: 503 },
  {
    who: "eRPC",
    tag: "RangeTooLarge",
    message: "getLogs request exceeded max allowed range: 10000",
    code: -32012,
    status: 413,
    hints: { maxBlocks: 10000 }
  },
  { who: "Valtitude", tag: "RangeTooLarge", message: "allowed block range threshold exceeded", code: -32000 },
  {
    who: "MASQ",
    tag: "RangeTooLarge",
    message: "eth_getLogs block range too large, range: 33636, max: 3500",
    code: -32005,
    hints: { maxBlocks: 3500 }
  },
  {
    who: "Ponder as a server",
    tag: "RangeTooLarge",
    message: "eth_getLogs block range too large",
    code: -32005,
    data: { maxBlockRange: "500" },
    hints: { maxBlocks: 500 }
  },
  { who: "EIP-1474", tag: "RateLimited", message: "Request exceeds defined limit", code: -32005 },
  {
    who: "nginx",
    tag: "ResponseTooLarge",
    message: "<html><head><title>413 Request Entity Too Large</title></head></html>",
    status: 413
  },
  {
    who: "nginx",
    tag: "Unavailable",
    message: "<html><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>",
    status: 502
  },
  {
    who: "nginx",
    tag: "RateLimited",
    message: "<html><head><title>429 Too Many Requests</title></head></html>",
    status: 429
  },
  {
    who: "HAProxy",
    tag: "Unavailable",
    message:
      "<html><body><h1>503 Service Unavailable</h1>No server is available to handle this request.</body></html>",
    status: 503,
    headers: { "retry-after": "5" },
    hints: { retryAfter: 5000 }
  },
  {
    who: "AWS ELB",
    tag: "Unavailable",
    message: "<html><head><title>504 Gateway Time-out</title></head></html>",
    status: 504
  },
  { who: "AWS gateway", tag: "RateLimited", message: "Too Many Requests", status: 429 },
  {
    who: "Envoy",
    tag: "Unavailable",
    message:
      "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection timeout",
    status: 503
  },
  { who: "Envoy", tag: "Unavailable", message: "no healthy upstream", status: 503 },
  { who: "Envoy", tag: "RateLimited", message: "local_rate_limited", status: 429 },
  { who: "Traefik", tag: "Unavailable", message: "Bad Gateway", status: 502 },
  {
    who: "Cloudflare page",
    tag: "Rejected",
    message:
      "<html><title>Attention Required! | Cloudflare</title><h1>Sorry, you have been blocked</h1></html>",
    status: 403
  },
  {
    who: "Cloudflare challenge",
    tag: "Unavailable",
    message: "<html><title>Just a moment...</title></html>",
    status: 403
  },
  {
    who: "without words",
    tag: "RateLimited",
    message: "",
    status: 429,
    headers: { "retry-after": "2.5" },
    hints: { retryAfter: 2500 }
  },
  { who: "without words", tag: "Unavailable", message: "", status: 500 },
  { who: "without words", tag: "Rejected", message: "", status: 401 },
  { who: "without words", tag: "QuotaExhausted", message: "", status: 402 },
  { who: "without words", tag: "ResponseTooLarge", message: "", status: 413 },
  { who: "without words", tag: "MethodUnsupported", message: "", code: -32601 },
  { who: "without words", tag: "MissingData", message: "", code: 4444 },
  { who: "without words", tag: "Unavailable", message: "", code: -32603 },
  { who: "without words", tag: "Rejected", message: "", code: -32000 },
  {
    who: "Logos",
    tag: "RateLimited",
    message: "Too Many Requests! Wait for 2290s",
    status: 429,
    hints: { retryAfter: 2290000 }
  },
  {
    who: "a gateway",
    tag: "RateLimited",
    message: "Rate limit exceeded, try again in 30 seconds",
    status: 429,
    hints: { retryAfter: 30000 }
  },
  {
    who: "a gateway",
    tag: "RateLimited",
    message: "throttled: retry after 500ms",
    status: 429,
    hints: { retryAfter: 500 }
  },
  {
    who: "a gateway",
    tag: "RateLimited",
    message: "slow down, retry in 1m30s",
    status: 429,
    hints: { retryAfter: 90000 }
  },
  {
    who: "a gateway",
    tag: "QuotaExhausted",
    message: "daily quota used up, resets in 5 hours",
    status: 429,
    hints: { retryAfter: 18000000 }
  },
  { who: "a gateway", tag: "RateLimited", message: "limited to 100 requests per minute", status: 429 },
  {
    who: "a gateway",
    tag: "RateLimited",
    message: "Exceeded max limit of 100 requests per second",
    code: -32000,
    hints: { perSecond: 100 }
  },
  { who: "a gateway", tag: "Unavailable", message: "ECONNREFUSED", code: -32603, status: 500 },
  { who: "a gateway", tag: "Unavailable", message: "socket hang up", status: 502 },
  {
    who: "a gateway",
    tag: "RangeTooLarge",
    message: "range limit exceeded: 30000 blocks requested, 2000 allowed",
    code: -32005,
    hints: { maxBlocks: 2000 }
  },
  {
    who: "Filecoin, Lantern",
    tag: "RangeTooLarge",
    message: "eth_getLogs: block range exceeds local scan cap; chunk the query into smaller windows",
    code: -32000
  },
  {
    who: "QuickNode",
    tag: "RangeTooLarge",
    message: "Too many blocks requested at once (limit: 10,000). Please reduce the block range.",
    code: -32615,
    hints: { maxBlocks: 10000 }
  },
  {
    who: "QuickNode",
    tag: "RateLimited",
    message: "40/second trace requests limit reached",
    code: -32009,
    hints: { perSecond: 40 }
  },
  {
    who: "QuickNode",
    tag: "RateLimited",
    message: "Debug requests are currently limited. Please try again later.",
    code: -32009
  },
  { who: "QuickNode", tag: "Rejected", message: "Endpoint Disabled", status: 403 },
  {
    who: "QuickNode",
    tag: "Unavailable",
    message: "[QUICKNODE fallback] The request timedout after 4000 ms",
    code: -32000
  },
  { who: "Arbitrum", tag: "Unavailable", message: "we can't execute this request", code: -32000 },
  {
    who: "Geth behind a proxy",
    tag: "Unavailable",
    message: "dial tcp 10.0.0.1:8545: connect: cannot assign requested address",
    code: -32000
  },
  { who: "Geth", tag: "Unavailable", message: "transaction indexing is in progress", code: -32000 },
  {
    who: "Geth",
    tag: "MissingData",
    message: "state histories haven't been fully indexed yet",
    code: -32000
  },
  {
    who: "Etherscan",
    tag: "RateLimited",
    message: "Too many invalid api key attempts, please try again later"
  },
  { who: "a lagging node", tag: "HeadLag", message: "Node is behind by 42 slots", code: -32005 },
  { who: "a gateway", tag: "Rejected", message: "404 page not found", status: 404 },
  { who: "a gateway", tag: "Rejected", message: "API key is deactivated", code: -32000 },
  {
    who: "a gateway",
    tag: "RangeTooLarge",
    message: "max allowed range is 1000 blocks",
    code: -32000,
    hints: { maxBlocks: 1000 }
  },
  {
    who: "Reth on Arc",
    tag: "Unavailable",
    message: "Error processing request: state is not ready",
    code: -32016
  },
  {
    who: "a proxy",
    tag: "ResponseTooLarge",
    message: "HTTP response body exceeded the size limit. Max: 10485760 bytes Received: 10502144 bytes",
    code: -32000
  }
]
