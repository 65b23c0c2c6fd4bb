/** Rows of token metrics as the API and the live feed write them. */
import type { PairRow, TokenRow } from "../tokens/TokenReads.ts"
import type { PairMetricsRow, TokenMetricsRow } from "./TokenApi.ts"

export const token = ({ asOf, ...row }: TokenRow): typeof TokenMetricsRow.Type => ({ ...row, as_of: asOf })

export const pair = ({ asOf, lastPrice, ...row }: PairRow): typeof PairMetricsRow.Type => ({
  ...row,
  last_price: lastPrice,
  as_of: asOf
})
