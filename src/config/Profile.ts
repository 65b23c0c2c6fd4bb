/**
 * What is right for a kind of chain: how much to hold, how much to ask for at once, how long to wait. A profile is a
 * set of defaults; `Settings` lets a flag or a variable override single values of it.
 *
 * **When to use**: depend on `Profile` in a part that is tuned by the kind of chain and by nothing else. Its layers
 * are `Profile.Anvil`, `Profile.Sepolia` and `Profile.Mainnet`; `Profile.make` is for a chain of one's own.
 *
 * **Gotchas**: in a running Sluice the service holds the *effective* profile, with flags and variables already folded
 * in (`Settings.layer` provides it), so that no two parts can see two values of the same thing.
 */
import { Context, Duration, Layer } from "effect"

export interface ProfileShape {
  /** How the profile is named in logs and in `PROFILE`. */
  readonly name: string
  readonly chainId: number
  /** Cap of the queue of fetched blocks, in slots; memory may set a lower one. */
  readonly resultsCapacity: number
  /** Under back-pressure, what is asked for within such a time becomes one request. */
  readonly mergeWindow: Duration.Duration
  /** Blocks in one commit, at most. */
  readonly batchSize: number
  /** A commit waits at most this long for its batch to fill. */
  readonly flushInterval: Duration.Duration
  /** Fetches in flight. */
  readonly concurrency: number
  /** Blocks between the head and the newest block that is indexed. */
  readonly confirmationDepth: number
  /** Blocks below the head that count as final where a chain has no `finalized` tag. */
  readonly finalityDepth: number
  /** Between two questions for the head, without a WebSocket. */
  readonly pollInterval: Duration.Duration
}

/** What a profile of one's own has to say; what it leaves out is as on mainnet, the most careful of the three. */
export type ProfileOptions = Pick<ProfileShape, "name" | "chainId"> & Partial<ProfileShape>

/** 64 blocks are two epochs: what Ethereum itself takes to finalize when all goes well. */
const twoEpochs = 64

const anvil: ProfileShape = {
  name: "anvil",
  chainId: 31_337,
  resultsCapacity: 100_000,
  mergeWindow: Duration.seconds(5),
  batchSize: 100,
  flushInterval: Duration.millis(250),
  concurrency: 16,
  confirmationDepth: 0,
  finalityDepth: twoEpochs,
  pollInterval: Duration.millis(200)
}

const sepolia: ProfileShape = {
  name: "sepolia",
  chainId: 11_155_111,
  resultsCapacity: 10_000,
  mergeWindow: Duration.seconds(10),
  batchSize: 50,
  flushInterval: Duration.seconds(1),
  concurrency: 10,
  confirmationDepth: 3,
  finalityDepth: twoEpochs,
  pollInterval: Duration.seconds(4)
}

const mainnet: ProfileShape = {
  name: "mainnet",
  chainId: 1,
  resultsCapacity: 5_000,
  mergeWindow: Duration.seconds(30),
  batchSize: 20,
  flushInterval: Duration.seconds(1),
  concurrency: 20,
  confirmationDepth: 12,
  finalityDepth: twoEpochs,
  pollInterval: Duration.seconds(4)
}

export type ProfileName = "anvil" | "sepolia" | "mainnet"

export const profileNames: ReadonlyArray<ProfileName> = ["anvil", "sepolia", "mainnet"]

export const profiles: { readonly [Name in ProfileName]: ProfileShape } = { anvil, sepolia, mainnet }

export class Profile extends Context.Service<Profile, ProfileShape>()("sluice/config/Profile") {
  /** A Foundry devnet on this machine: no reorg depth to wait for, everything fast. */
  static readonly Anvil: Layer.Layer<Profile> = Layer.succeed(Profile, anvil)
  static readonly Sepolia: Layer.Layer<Profile> = Layer.succeed(Profile, sepolia)
  static readonly Mainnet: Layer.Layer<Profile> = Layer.succeed(Profile, mainnet)

  /**
   * A profile for a chain of one's own. Its values are checked where settings are, by `Settings.make`.
   *
   * @example
   * ```ts
   * const polygon = Profile.make({ name: "polygon", chainId: 137, confirmationDepth: 64, finalityDepth: 256 })
   * ```
   */
  static readonly make = (options: ProfileOptions): ProfileShape => ({ ...mainnet, ...options })

  static readonly layer = (profile: ProfileShape): Layer.Layer<Profile> => Layer.succeed(Profile, profile)
}
