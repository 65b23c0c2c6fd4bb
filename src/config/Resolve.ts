/**
 * From what was given to settings that hold: a flag beats a variable, which beats the profile, which beats the
 * default. Everything that is wrong is found in one go, so that nobody fixes a deployment one restart at a time.
 *
 * Pure: flags, variables and the facts about the host are arguments.
 */
import { Effect, Option, Schema } from "effect"
import {
  all,
  declarations,
  profile as profileSetting,
  type SettingName,
  SettingsFromTexts,
  settingNames,
  type Values
} from "./Declarations.ts"
import type { HostShape } from "./Host.ts"
import { textOf } from "./Kind.ts"
import { nearMisses } from "./NearMiss.ts"
import { type ProfileShape, profileNames, profiles } from "./Profile.ts"
import { show } from "./Redaction.ts"
import type { Any, Facts } from "./Setting.ts"
import { type Origin, type Problem, SettingsError } from "./SettingsError.ts"

/** All settings. Durations and sizes are exact; URLs are `Redacted` and say only their host when printed. */
export interface SettingsShape extends Values {
  /** The effective profile: what overrides it is folded in. */
  readonly profile: ProfileShape
  /** Memory that this process may use. */
  readonly memoryBytes: number
}

export interface Resolved {
  readonly settings: SettingsShape
  /** By name in code, in the order of the declarations. */
  readonly origins: Readonly<Record<string, Shown>>
  /** Sentences about variables that look misspelt. */
  readonly warnings: ReadonlyArray<string>
}

/** A value as it may be shown, and where it came from. */
export interface Shown {
  readonly value: string
  readonly origin: Origin
}

interface Raw {
  readonly text: string | undefined
  readonly origin: Origin
}

/** What was given for a setting, if anything. */
type Lookup = (name: string, setting: Any) => Raw | undefined

const defaultOf = (setting: Any, facts: Facts): Raw => {
  switch (setting.default._tag) {
    case "Unset":
      return { text: undefined, origin: "default" }
    case "Value":
      return { text: setting.default.text, origin: "default" }
    case "Profile":
      return { text: textOf(setting.default.read(facts.profile)), origin: "profile" }
    case "Derived":
      return { text: setting.default.read(facts), origin: "default" }
  }
}

/** How a setting is written by whoever gave it, or would have to give it. */
type Naming = (name: string, setting: Any, origin: Origin) => string

const byFlagOrVariable: Naming = (_, setting, origin) => {
  if (setting.flag === undefined || origin === "env") return setting.env
  return origin === "flag" ? `--${setting.flag}` : `${setting.env} (or --${setting.flag})`
}

const byOption: Naming = (name) => name

const problem = (named: Naming, name: string, setting: Any, raw: Raw, expected: string): Problem => ({
  setting: name,
  env: setting.env,
  flag: setting.flag,
  name: named(name, setting, raw.origin),
  given: raw.text ? show(raw.text, setting) : undefined,
  origin: raw.origin,
  expected
})

const nothing: Raw = { text: undefined, origin: "default" }

/** Settings that are right one by one and wrong together. */
const crossChecks = (
  named: Naming,
  raws: Readonly<Record<string, Raw>>,
  profile: ProfileShape,
  needsChain: boolean
): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  const rawOf = (name: SettingName): Raw => raws[name] ?? nothing
  const nameOf = (name: SettingName): string => named(name, declarations[name], rawOf(name).origin)
  const valueOf = <A>(schema: Schema.Codec<A, string | undefined>, name: SettingName): A | undefined =>
    Option.getOrUndefined(Schema.decodeOption(schema)(rawOf(name).text))
  const report = (name: SettingName, expected: string) => {
    problems.push(problem(named, name, declarations[name], rawOf(name), expected))
  }

  const start = valueOf(declarations.startBlock.schema, "startBlock")
  const end = valueOf(declarations.endBlock.schema, "endBlock")
  if (start !== undefined && end !== undefined && end < start) {
    report("endBlock", `a block not below ${nameOf("startBlock")}, which is ${start}`)
  }
  const high = valueOf(declarations.highWatermarkPct.schema, "highWatermarkPct")
  const critical = valueOf(declarations.criticalWatermarkPct.schema, "criticalWatermarkPct")
  if (high !== undefined && critical !== undefined && critical < high) {
    report("criticalWatermarkPct", `a percentage not below ${nameOf("highWatermarkPct")}, which is ${high}`)
  }
  const isAnvil = profile.name === "anvil"
  if (needsChain && !isAnvil && !rawOf("rpcUrls").text) {
    report("rpcUrls", `${declarations.rpcUrls.expected}; the ${profile.name} profile needs it`)
  }
  if (!isAnvil && valueOf(declarations.traffic.schema, "traffic") === true) {
    report("traffic", `false: demo traffic is only for the anvil profile, and this is ${profile.name}`)
  }
  // A program may name contracts in code as well, which is looked at where both are known.
  const isCode = rawOf("index").origin === "option"
  if (!isCode && valueOf(declarations.index.schema, "index") === "events" && !rawOf("contracts").text) {
    report("index", `blocks, unless ${nameOf("contracts")} names contracts`)
  }
  return problems
}

/** The profile with what overrides it folded in. */
const effective = (name: string, values: Values): ProfileShape => ({
  name,
  chainId: values.chainId,
  resultsCapacity: values.resultsCapacity,
  mergeWindow: values.mergeWindow,
  batchSize: values.batchSize,
  flushInterval: values.flushInterval,
  concurrency: values.concurrency,
  confirmationDepth: values.confirmationDepth,
  finalityDepth: values.finalityDepth,
  pollInterval: values.pollInterval
})

/** Each value in its canonical text, as far as it may be shown. */
const shownValues = Effect.fnUntraced(function* (values: Values, raws: Readonly<Record<string, Raw>>) {
  const texts: Readonly<Record<string, string | undefined>> = yield* Effect.orDie(
    Schema.encodeEffect(SettingsFromTexts)(values)
  )
  return Object.fromEntries(
    settingNames.map((name): readonly [string, Shown] => {
      const setting: Any = declarations[name]
      const absent = "shown" in setting.default ? setting.default.shown : ""
      const text = texts[name]
      return [name, { value: text ? show(text, setting) : absent, origin: raws[name]?.origin ?? "default" }]
    })
  )
})

/** All that follows once the profile is known; it is undefined when that itself went wrong. */
const settle = Effect.fnUntraced(function* (given: {
  readonly profile: ProfileShape | undefined
  readonly profileOrigin: Origin
  readonly problems: ReadonlyArray<Problem>
  readonly named: Naming
  readonly lookup: Lookup
  readonly host: HostShape
  readonly needsChain: boolean
  readonly warnings: ReadonlyArray<string>
}): Effect.fn.Return<Resolved, SettingsError> {
  // A stand-in lets the other settings be checked in the same go; nothing is resolved with it.
  const base = given.profile ?? profiles.anvil
  const rawChainId = given.lookup("chainId", declarations.chainId)
  const facts: Facts = {
    profile: base,
    host: given.host,
    chainId: Option.getOrElse(
      Schema.decodeUnknownOption(declarations.chainId.schema)(rawChainId?.text),
      () => base.chainId
    )
  }

  const raws: Record<string, Raw> = {}
  const wrong = [...given.problems]
  for (const name of settingNames) {
    const setting: Any = declarations[name]
    const raw = given.lookup(name, setting) ?? defaultOf(setting, facts)
    raws[name] = raw
    if (Option.isNone(Schema.decodeOption(setting.schema)(raw.text))) {
      wrong.push(problem(given.named, name, setting, raw, setting.expected))
    }
  }
  const known = new Set(wrong.map((problem) => problem.setting))
  if (given.profile !== undefined) {
    wrong.push(
      ...crossChecks(given.named, raws, given.profile, given.needsChain).filter(
        (problem) => !known.has(problem.setting)
      )
    )
  }
  if (wrong.length > 0) {
    const order = all.map(([name]): string => name)
    return yield* new SettingsError({
      problems: wrong.sort((a, b) => order.indexOf(a.setting) - order.indexOf(b.setting)),
      warnings: given.warnings
    })
  }

  const texts = Object.fromEntries(Object.entries(raws).map(([name, raw]) => [name, raw.text]))
  // Each of them was decoded above: what fails here is a bug.
  const values = yield* Effect.orDie(Schema.decodeUnknownEffect(SettingsFromTexts)(texts))
  const profile = effective(base.name, values)
  return {
    settings: { ...values, profile, memoryBytes: given.host.memoryBytes },
    origins: {
      profile: { value: profile.name, origin: given.profileOrigin },
      ...(yield* shownValues(values, raws))
    },
    warnings: given.warnings
  }
})

/** An empty value is as good as none: `RPC_URL=` in an env file means that it is not set. */
const present = (text: string | undefined, origin: Origin): Raw | undefined => {
  const trimmed = text?.trim()
  return trimmed === undefined || trimmed === "" ? undefined : { text: trimmed, origin }
}

export interface ResolveInput {
  /** By the flag's name, without dashes. */
  readonly flags: Readonly<Record<string, string | undefined>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly host: HostShape
  /** Whether a provider has to be named, where the profile has no chain of its own. Default true. */
  readonly needsChain?: boolean
}

/** What the command line does. The profile has to be named. */
export const resolve = Effect.fnUntraced(function* (
  input: ResolveInput
): Effect.fn.Return<Resolved, SettingsError> {
  const lookup: Lookup = (_, setting) =>
    (setting.flag === undefined ? undefined : present(input.flags[setting.flag], "flag")) ??
    present(input.env[setting.env], "env")
  const raw: Raw = lookup("profile", profileSetting) ?? nothing
  const name = profileNames.find((known) => known === raw.text?.toLowerCase())
  return yield* settle({
    profile: name === undefined ? undefined : profiles[name],
    profileOrigin: raw.origin,
    problems:
      name === undefined
        ? [problem(byFlagOrVariable, "profile", profileSetting, raw, profileSetting.expected)]
        : [],
    named: byFlagOrVariable,
    lookup,
    host: input.host,
    needsChain: input.needsChain ?? true,
    warnings: nearMisses(
      input.env,
      all.map(([, setting]) => setting.env)
    )
  })
})

/** What an embedding program does: options by their names in code, no flags and no environment. */
export const resolveOptions = (
  profile: ProfileShape,
  options: Readonly<Record<string, unknown>>,
  host: HostShape
): Effect.Effect<Resolved, SettingsError> =>
  settle({
    profile,
    profileOrigin: "option",
    problems: [],
    named: byOption,
    lookup: (name) => {
      const option = options[name]
      return option === undefined ? undefined : present(textOf(option), "option")
    },
    host,
    needsChain: true,
    warnings: []
  })
