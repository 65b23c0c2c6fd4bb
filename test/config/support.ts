import { Effect } from "effect"
import type { HostShape } from "../../src/config/Host.ts"
import { type ResolveInput, Settings } from "../../src/config/Settings.ts"

export const host: HostShape = { hostname: "box", pid: 42, isTTY: false, memoryBytes: 16 * 2 ** 30 }

/** The error that resolving has to end with. */
export const failure = (input: ResolveInput) => Effect.flip(Settings.resolve(input))
