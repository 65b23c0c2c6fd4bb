import { defineConfig } from "vitest/config"

// Vitest 5 reports failures with Map.groupBy, which Node 20 does not have.
if (!("groupBy" in Map)) {
  Object.assign(Map, {
    groupBy: <K, V>(items: Iterable<V>, key: (item: V) => K): Map<K, Array<V>> => {
      const groups = new Map<K, Array<V>>()
      for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item])
      return groups
    }
  })
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/build.setup.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    fileParallelism: true,
    maxWorkers: 2
  }
})
