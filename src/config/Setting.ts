/**
 * What a setting is: a name in the environment, perhaps a flag, a kind of value, a default and a paragraph that
 * explains it. All that is said of a setting anywhere (parsing, errors, `--help`, `sluice config`,
 * docs/configuration.md) is made from this one declaration.
 */
import { Schema } from "effect"
import type { HostShape } from "./Host.ts"
import type { Kind } from "./Kind.ts"
import type { ProfileShape } from "./Profile.ts"

/** What a default may depend on. */
export interface Facts {
  readonly profile: ProfileShape
  readonly host: HostShape
  /** The chain id that holds, which may be another than the profile's. */
  readonly chainId: number
}

/** What a setting is when nobody says anything. */
export type Default =
  | { readonly _tag: "Unset"; readonly shown: string }
  | { readonly _tag: "Value"; readonly text: string }
  | { readonly _tag: "Profile"; readonly read: (profile: ProfileShape) => unknown }
  | { readonly _tag: "Derived"; readonly read: (facts: Facts) => string; readonly shown: string }

/** There is none; `shown` says what that means. */
export const unset = (shown: string): Default & { readonly _tag: "Unset" } => ({ _tag: "Unset", shown })

/** In the text form that a flag would have. */
export const value = (text: string): Default & { readonly _tag: "Value" } => ({ _tag: "Value", text })

export const fromProfile = (
  read: (profile: ProfileShape) => unknown
): Default & { readonly _tag: "Profile" } => ({ _tag: "Profile", read })

/** Computed from facts; `shown` is what the documentation says of it. */
export const derived = (
  shown: string,
  read: (facts: Facts) => string
): Default & { readonly _tag: "Derived" } => ({ _tag: "Derived", read, shown })

export const groups = [
  "Chain",
  "Events",
  "Providers",
  "Storage",
  "Fetching",
  "Memory",
  "One writer",
  "HTTP",
  "Logging",
  "Demo"
] as const

export type Group = (typeof groups)[number]

interface Declared {
  readonly env: string
  /** Without its dashes. */
  readonly flag?: string
  readonly group: Group
  /** One paragraph; its first sentence alone is the help of the flag. */
  readonly doc: string
  /** Never shown; of a URL its scheme and host are. */
  readonly secret?: boolean
}

/** `A` is the typed value, `T` its text, `I` what an embedding program may give. */
export interface Setting<out A, out T extends string | undefined, out I> {
  readonly env: string
  readonly flag: string | undefined
  readonly group: Group
  readonly doc: string
  readonly secret: boolean
  readonly default: Default
  readonly schema: Schema.Codec<A, T>
  readonly expected: string
  readonly unit: string
  /** Only in types. */
  readonly "~input"?: I
}

/** Without the types of its value. */
export type Any = Setting<unknown, string | undefined, unknown>

const common = <A, I>(declared: Declared & { readonly kind: Kind<A, I> }) => ({
  env: declared.env,
  flag: declared.flag,
  group: declared.group,
  doc: declared.doc,
  secret: declared.secret === true,
  expected: declared.kind.expected,
  unit: declared.kind.unit
})

/** A setting that always has a value. */
export const required = <A, I>(
  declared: Declared & { readonly kind: Kind<A, I>; readonly default: Exclude<Default, { _tag: "Unset" }> }
): Setting<A, string, I> => ({
  ...common(declared),
  default: declared.default,
  schema: declared.kind.schema
})

/** A setting that may have no value; `unset` says what that means. */
export const optional = <A, I>(
  declared: Declared & { readonly kind: Kind<A, I>; readonly unset: string }
): Setting<A | undefined, string | undefined, I> => ({
  ...common(declared),
  default: unset(declared.unset),
  schema: Schema.UndefinedOr(declared.kind.schema)
})

/** The first sentence, without its full stop. */
export const summary = (doc: string): string => {
  const end = doc.search(/\.(?:\s|$)/)
  return end < 0 ? doc : doc.slice(0, end)
}
