/**
 * Makes a failing story shorter: fewer events first, then fewer of everything else, as long as it still fails.
 */
import { Effect } from "effect"
import type * as Story from "./Story.ts"

type Change = (story: Story.Story) => Story.Story

const simpler: ReadonlyArray<Change> = [
  (story) => ({ ...story, instances: 1 }),
  (story) => ({ ...story, providers: 1 }),
  (story) => ({ ...story, skew: [] }),
  (story) => ({ ...story, confirmationDepth: 0 }),
  (story) => ({ ...story, height: Math.floor(story.height / 2) }),
  (story) => ({ ...story, height: Math.max(0, story.height - 1) }),
  (story) => ({ ...story, settings: { ...story.settings, concurrency: 1 } }),
  (story) => ({ ...story, settings: { ...story.settings, startBlock: 0 } })
]

/** At most `runs` stories are told on the way. */
export const shrink = Effect.fnUntraced(function* (
  story: Story.Story,
  fails: (story: Story.Story) => Effect.Effect<boolean>,
  runs: number
): Effect.fn.Return<Story.Story> {
  let shortest = story
  let left = runs
  const attempt = Effect.fnUntraced(function* (candidate: Story.Story): Effect.fn.Return<boolean> {
    if (left <= 0 || JSON.stringify(candidate) === JSON.stringify(shortest)) return false
    left--
    if (!(yield* fails(candidate))) return false
    shortest = candidate
    return true
  })

  for (
    let size = Math.ceil(story.events.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < shortest.events.length; ) {
      const events = [...shortest.events.slice(0, at), ...shortest.events.slice(at + size)]
      if (!(yield* attempt({ ...shortest, events }))) at += size
    }
  }
  for (const change of simpler) {
    while (yield* attempt(change(shortest))) {
      // Once more, as long as it helps.
    }
  }
  return shortest
})
