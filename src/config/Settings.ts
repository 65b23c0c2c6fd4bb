/**
 * What this instance was told: each setting typed, checked and in force.
 *
 * **When to use**: the command line calls `Settings.resolve` with flags and environment. A program that embeds
 * Sluice calls `Settings.make` or `Settings.layer` with options; those read no environment, so that a library never
 * depends on a variable that its host happens to have.
 *
 * **Details**: the list of settings is in `Declarations.ts`, their documentation in docs/configuration.md. The
 * values of the profile that something overrides are the same in `settings.batchSize` and `settings.profile.batchSize`.
 *
 * **Gotchas**: URLs are `Redacted`. Unwrap them where the connection is made, nowhere else.
 */
import { Context, Effect, Layer } from "effect"
import type { Declarations, SettingName } from "./Declarations.ts"
import { Host } from "./Host.ts"
import { Profile, type ProfileName, type ProfileShape, profiles } from "./Profile.ts"
import { type Resolved, resolve, resolveOptions, type SettingsShape } from "./Resolve.ts"
import type { SettingsError } from "./SettingsError.ts"

export type { Resolved, ResolveInput, SettingsShape } from "./Resolve.ts"

/**
 * Options of an embedding program: the names of the settings in code. Durations are Effect's, or text such as `5m`;
 * sizes are bytes, or text such as `256MiB`. What is left out comes from the profile and the defaults.
 */
export type SettingsOptions = {
  readonly [Name in SettingName]?: NonNullable<Declarations[Name]["~input"]> | undefined
} & {
  /** One of the three by name, or one made with `Profile.make`. */
  readonly profile: ProfileName | ProfileShape
}

const make = Effect.fnUntraced(function* (
  options: SettingsOptions
): Effect.fn.Return<SettingsShape, SettingsError> {
  const { profile, ...values } = options
  const base = typeof profile === "string" ? profiles[profile] : profile
  const resolved = yield* resolveOptions(base, values, yield* Host)
  return resolved.settings
})

const provide = (settings: SettingsShape) =>
  Context.make(Settings, settings).pipe(Context.add(Profile, settings.profile))

export class Settings extends Context.Service<Settings, SettingsShape>()("sluice/config/Settings") {
  /** Settings from flags and environment, with where each came from. */
  static readonly resolve = resolve

  /**
   * Settings from options alone. Fails with all that is wrong at once.
   *
   * @example
   * ```ts
   * const settings = Settings.make({ profile: "mainnet", rpcUrls: ["https://eth.example.com/key"], startBlock: 19_000_000 })
   * ```
   */
  static readonly make = make

  /** `Settings.make` as a layer; it provides the effective `Profile` too. */
  static readonly layer = (options: SettingsOptions): Layer.Layer<Settings | Profile, SettingsError> =>
    Layer.effectContext(Effect.map(make(options), provide))

  /** What the command line resolved, as a layer. */
  static readonly layerResolved = (resolved: Resolved): Layer.Layer<Settings | Profile> =>
    Layer.succeedContext(provide(resolved.settings))
}
