/**
 * Sluice as a library: an EVM chain becomes SQL tables for as long as a layer lives. See docs/embedding.md.
 */
export type { BlockHeader, Hex, ProofLevel, RawBlock } from "./chain/Block.ts"
export type { BlockRange } from "./chain/BlockRange.ts"
export { LeaseHeld } from "./cluster/Lease.ts"
export { Profile, type ProfileShape } from "./config/Profile.ts"
export { Settings, type SettingsOptions } from "./config/Settings.ts"
export { SettingsError } from "./config/SettingsError.ts"
export type { BlockCommitted, FeedEvent, RolledBack } from "./delivery/Feed.ts"
export * as Contract from "./events/Contract.ts"
export type { Phase, SyncStatus } from "./flow/Status.ts"
export {
  at,
  type HandledEvent,
  type Handler,
  type HandlerOptions,
  type HandlerTable,
  handle,
  table
} from "./handlers/Handler.ts"
export { ProviderFault } from "./rpc/ProviderFault.ts"
export { type Outcome, Sluice } from "./Sluice.ts"
export { ChainSource } from "./source/ChainSource.ts"
export { SessionLock } from "./store/SessionLock.ts"
export { Store, StoreError } from "./store/Store.ts"
