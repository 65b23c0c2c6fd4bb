/** Contracts that everybody means when they say their name: a name stands for the standard's events, at any address. */
export const packNames = ["erc20", "erc721", "erc1155", "uniswap-v2", "uniswap-v3", "weth"] as const

export type PackName = (typeof packNames)[number]
