/**
 * Records the blocks of this folder from a fresh Anvil: `node test/chain/recorded/record.mjs`.
 *
 * They hold every transaction type of Ethereum, a creation, a revert and logs, so that the proof can be tested in a
 * clone without other data. The keys are Anvil's well-known ones. Blobs, which no other node sends, are cut.
 */
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { createPublicClient, createTestClient, createWalletClient, http } from "viem"
import { privateKeyToAccount } from "viem/accounts"
import { foundry } from "viem/chains"
import { serializeTransaction } from "viem/op-stack"

const folder = dirname(fileURLToPath(import.meta.url))
const anvil = join(folder, "../../../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

const sender = privateKeyToAccount("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
const delegate = privateKeyToAccount("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")

// Copies its call data into a log with two topics; reverts when called without data.
const runtime = "3615601657366000600037602a6001366000a200".padEnd(44, "0").concat("5b60006000fd")
const init = `60${(runtime.length / 2).toString(16).padStart(2, "0")}80600b6000396000f3`

// The zero polynomial's commitment and proof are the point at infinity: no KZG library is needed for a zero blob.
const infinity = new Uint8Array(48)
infinity[0] = 0xc0
const kzg = { blobToKzgCommitment: () => infinity, computeBlobKzgProof: () => infinity }

const record = async (hardfork, name, send, options = ["--hardfork", hardfork]) => {
  const port = await freePort()
  const node = spawn(anvil, ["--port", `${port}`, "--silent", "--no-mining", ...options], {
    stdio: "ignore"
  })
  try {
    const transport = http(`http://127.0.0.1:${port}`, { retryCount: 20, retryDelay: 100 })
    const client = createPublicClient({ chain: foundry, transport })
    const wallet = createWalletClient({ account: sender, chain: foundry, transport })
    const miner = createTestClient({ mode: "anvil", chain: foundry, transport })
    await client.getChainId()
    const blocks = await send({ client, wallet, mine: () => miner.mine({ blocks: 1 }) })
    for (const number of blocks) {
      const quantity = `0x${number.toString(16)}`
      const block = await client.request({ method: "eth_getBlockByNumber", params: [quantity, true] })
      const receipts = await client.request({ method: "eth_getBlockReceipts", params: [quantity] })
      for (const transaction of block.transactions) if (transaction.blobs) transaction.blobs = ["0x"]
      writeFileSync(
        join(folder, `${name}-${number}.json`),
        `${JSON.stringify({ source: `Anvil 1.7.1 ${options.join(" ")}`, chainId: await client.getChainId(), block, receipts })}\n`
      )
    }
  } finally {
    node.kill()
  }
}

const fees = { maxFeePerGas: 3_000_000_000n, maxPriorityFeePerGas: 1_000_000_007n, gas: 400_000n }
const contract = "0x5FbDB2315678afecb367f032d93F642f64180aa3"

await record("prague", "prague", async ({ mine, wallet }) => {
  await wallet.sendTransaction({ data: `0x${init}${runtime}`, ...fees })
  await mine()
  let nonce = 1
  const send = (transaction) => wallet.sendTransaction({ ...fees, nonce: nonce++, ...transaction })
  const legacy = { maxFeePerGas: undefined, maxPriorityFeePerGas: undefined, gasPrice: 2_500_000_000n }
  await send({ to: delegate.address, value: 12345678901234567890n })
  await send({ ...legacy, type: "legacy", to: contract, data: "0x0102" })
  const accessList = [{ address: contract, storageKeys: [`0x${"00".repeat(31)}01`, `0x${"ff".repeat(32)}`] }]
  await send({ ...legacy, type: "eip2930", to: contract, data: `0x${"ab".repeat(100)}`, accessList })
  await send({ to: contract, accessList: [{ address: contract, storageKeys: [] }] })
  await send({ to: contract, data: `0x${"cd".repeat(300)}` })
  const authorization = await delegate.signAuthorization({ address: contract, chainId: foundry.id, nonce: 0 })
  await send({ to: delegate.address, data: "0x77", authorizationList: [authorization] })
  await mine()
  await send({ to: contract, blobs: [new Uint8Array(131072)], kzg, maxFeePerBlobGas: 1_000_000_000n })
  await mine()
  return [0, 1, 2, 3]
})

await record("berlin", "berlin", async ({ mine, wallet }) => {
  for (let nonce = 0; nonce < 3; nonce++) {
    await wallet.sendTransaction({
      type: "legacy",
      nonce,
      gas: 100_000n,
      gasPrice: 2_000_000_000n,
      to: delegate.address,
      value: BigInt(nonce)
    })
  }
  await mine()
  return [1]
})

const optimism = ["--network", "optimism", "--chain-id", "10", "--hardfork", "granite"]
await record(
  "optimism",
  "optimism",
  async ({ client, mine }) => {
    const deposit = (from, byte) =>
      serializeTransaction({
        type: "deposit",
        sourceHash: `0x${byte.repeat(32)}`,
        from,
        to: delegate.address,
        mint: 5_000_000_000n,
        value: 3n,
        gas: 60_000n,
        isSystemTx: false,
        data: "0x1234"
      })
    // One from each sender: Anvil's pool takes two of one for a replacement.
    await client.request({ method: "eth_sendRawTransaction", params: [deposit(sender.address, "a1")] })
    await client.request({ method: "eth_sendRawTransaction", params: [deposit(delegate.address, "a2")] })
    await mine()
    return [1]
  },
  optimism
)
