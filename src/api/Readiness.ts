/**
 * Whether a reader may rely on the tables being fresh, and if not, why not.
 */
import { Duration } from "effect"
import type { Settings } from "../config/Settings.ts"
import { cursor, type SyncStatus } from "../flow/Status.ts"
import * as EndpointHealth from "../rpc/EndpointHealth.ts"

/** Reasons against being ready, in sentences; none when ready. */
export const reasons = (
  status: SyncStatus,
  settings: Pick<Settings["Service"], "endBlock" | "leaseDuration" | "readyMaxLag">,
  endpoints: ReadonlyArray<EndpointHealth.EndpointHealth>,
  now: number
): ReadonlyArray<string> => {
  const outage = status.phase === "done" ? undefined : EndpointHealth.outage(endpoints, now)
  return outage === undefined ? ofSync(status, settings, now) : [...ofSync(status, settings, now), outage]
}

const ofSync = (
  status: SyncStatus,
  settings: Pick<Settings["Service"], "endBlock" | "leaseDuration" | "readyMaxLag">,
  now: number
): ReadonlyArray<string> => {
  const because = status.reason === undefined ? "" : `: ${status.reason}`
  switch (status.phase) {
    case "halted":
      return [`halted${because}`]
    case "starting":
      return ["starting"]
    case "stopping":
      return ["stopping"]
    case "waiting":
      // A take-over needs up to two leases; a stand-by that waits longer serves no fresh tables of its own.
      return now - status.since > 2 * Duration.toMillis(settings.leaseDuration)
        ? [`not leading${because}`]
        : []
    case "retrying":
    case "syncing":
    case "following":
    case "done": {
      if (status.target === undefined) return [`the chain's head is not known yet${because}`]
      if (!status.indexed && settings.endBlock === undefined) {
        return ["the backfill, or the building of its secondary indexes, is not done"]
      }
      const behind = status.target - (cursor(status) ?? status.start - 1)
      return behind > settings.readyMaxLag
        ? [
            `${behind} blocks behind, READY_MAX_LAG is ${settings.readyMaxLag}${because}`,
            ...status.stuck.slice(0, 3).map(({ from, reason, to }) => `blocks ${from} to ${to}: ${reason}`)
          ]
        : []
    }
  }
}
