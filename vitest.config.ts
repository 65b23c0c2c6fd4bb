import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

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

/** Files of minutes come first: at the end one worker would wait for the other. */
const longest = ["test/simulation/mutants.test.ts", "test/tokens/TokenMetrics.test.ts"]

class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const isLong = ({ moduleId }: TestSpecification) => longest.some((file) => moduleId.endsWith(file))
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/build.setup.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    fileParallelism: true,
    maxWorkers: 2
  }
})
