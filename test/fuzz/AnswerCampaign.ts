/**
 * The campaign over one answer of a node: each of its places in each wrong way, and a few of them at once.
 */
import { Effect } from "effect"
import type { Proof } from "../../src/chain/Proof.ts"
import type { Settings } from "../../src/config/Settings.ts"
import type { BackPressure } from "../../src/flow/BackPressure.ts"
import * as Campaign from "./Campaign.ts"
import * as Mutations from "./Mutations.ts"
import * as Node from "./Node.ts"

export type Judge = (
  body: string,
  parts: ReadonlyArray<Mutations.Mutation>
) => Effect.Effect<string | undefined, never, BackPressure | Proof | Settings>

const fieldOf = (path: Mutations.Path): string =>
  path.map((key, i) => (typeof key === "number" && i > 0 ? "" : key)).join(".")

export const test = (
  subject: Node.Subject,
  judge: Judge,
  small: Campaign.Campaign<never, never>["small"] = { singles: 60, mixtures: 12 }
): Effect.Effect<void> => {
  const every = Mutations.all(subject.genuine)
  // Of a small answer all is tried, once for each field.
  const mutations = small.singles === Number.POSITIVE_INFINITY ? Mutations.distinct(every, fieldOf) : every
  return Campaign.test<Mutations.Mutation, BackPressure | Proof | Settings>({
    name: subject.name,
    singles: mutations.length,
    single: (n) => mutations[n] ?? { path: [], kind: "null" },
    small,
    draw: (r) => Mutations.draw(mutations, r),
    show: Mutations.show,
    judge: (parts) => judge(Mutations.apply(subject.genuine, parts), parts)
  }).pipe(Effect.provide(Node.core(subject.chainId)), Effect.orDie, Campaign.quiet)
}
