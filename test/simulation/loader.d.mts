import type { Edit } from "./Mutants.ts"

export interface Loader {
  /** `use` gets a fresh instance of the module at `path`, which is an `M`. */
  readonly withModule: <M, A>(
    path: string,
    changes: ReadonlyArray<Edit>,
    use: (module: M) => Promise<A>
  ) => Promise<A>
  readonly close: () => Promise<void>
}

export const open: () => Promise<Loader>
