/** What a job says of itself, so that `main.mjs` can run it. `full.mjs` and `events.mjs` are the two there are. */

/** One contestant as a process. */
export interface Command {
  /** To `node`. */
  readonly args: ReadonlyArray<string>
  /** Added to PATH and HOME; nothing else of the shell's gets through. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
  /** For a process that never ends: resolves when its work is done, or when nobody waits any more. */
  readonly done?: (signal: AbortSignal) => Promise<void>
}

/** Where one run happens. */
export interface Place {
  /** Of a fresh database. */
  readonly databaseUrl: string
  readonly rpcUrl: string
  /** For whatever a contestant wants to keep for a while. */
  readonly folder: string
}

export interface Job {
  readonly name: string
  /** One line for people. */
  readonly what: string
  /** The same for machines. */
  readonly figures: Readonly<Record<string, unknown>>
  /** Those that can run here, of those that were asked for. */
  readonly contestants: ReadonlyArray<string>
  /** Arguments to `node.mjs`. */
  readonly node: ReadonlyArray<string>
  readonly command: (contestant: string, place: Place) => Promise<Command>
  /** What is wrong, in words. */
  readonly verify: (contestant: string, databaseUrl: string) => Promise<ReadonlyArray<string>>
}

export interface JobOptions {
  readonly contestants: ReadonlyArray<string>
  /** As many as the job is made for where it is undefined. */
  readonly blocks: number | undefined
  /** Whether the baseline builds the secondary indexes that Sluice builds. */
  readonly indexes: boolean
  readonly log: (line: string) => void
}
