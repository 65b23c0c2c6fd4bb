/**
 * The windows that metrics are kept for.
 *
 * **Details**
 *
 * A window of width `w` as of the time `t` (both in whole seconds) holds the events whose time is in `(t - w, t]`. The
 * two short ones are exact to the second. The two long ones move by whole minutes at their older end: they hold the
 * events whose minute is later than the minute of `t - w`, so never more than the hour or the day, and at most 59
 * seconds less. One formula says both: `floor(time / step) > floor((t - w) / step)`.
 */

export interface Window {
  readonly name: WindowName
  /** Seconds. */
  readonly width: number
  /** Seconds by which the older end moves. */
  readonly step: number
}

export const windowNames = ["1m", "5m", "1h", "24h"] as const
export type WindowName = (typeof windowNames)[number]

/** Seconds of a candle, and of the entries that the long windows are made of. */
export const minute = 60

export const windows: ReadonlyArray<Window> = [
  { name: "1m", width: 60, step: 1 },
  { name: "5m", width: 300, step: 1 },
  { name: "1h", width: 3_600, step: minute },
  { name: "24h", width: 86_400, step: minute }
]

/** Seconds that the entries of one second, and those of one minute, have to reach back. */
export const fineReach = 300
export const coarseReach = 86_400

/** The latest second that is not inside the window any more as of `time`; entries of a step count by its start. */
export const edge = ({ step, width }: Window, time: number): number =>
  Math.floor((time - width) / step) * step

export const minuteOf = (time: number): number => time - (time % minute)

export const widthOf = (name: WindowName): number =>
  windows.find((window) => window.name === name)?.width ?? 0
