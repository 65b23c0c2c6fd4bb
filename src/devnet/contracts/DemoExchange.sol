// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Ledger} from "./DemoToken.sol";

interface IFlashBorrower {
    function uniswapV2Call(address sender, uint256 amount0, uint256 amount1, bytes calldata data) external;
}

/// A constant-product pool that speaks like a Uniswap V2 pair: same functions, same events in the same order.
/// It takes 0.3 % of what comes in, all of it for those who provide liquidity. No price oracle, no permit.
contract DemoPair is Ledger {
    uint256 public constant MINIMUM_LIQUIDITY = 1000;
    address public immutable factory;
    address public token0;
    address public token1;
    uint112 private reserve0;
    uint112 private reserve1;
    uint32 private updatedAt;
    bool private entered;

    event Mint(address indexed sender, uint256 amount0, uint256 amount1);
    event Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to);
    event Swap(
        address indexed sender,
        uint256 amount0In,
        uint256 amount1In,
        uint256 amount0Out,
        uint256 amount1Out,
        address indexed to
    );
    event Sync(uint112 reserve0, uint112 reserve1);

    modifier once() {
        require(!entered, "reentered");
        entered = true;
        _;
        entered = false;
    }

    constructor() Ledger("Demo Liquidity", "DEMO-LP", 18) {
        factory = msg.sender;
    }

    function initialize(address token0_, address token1_) external {
        require(msg.sender == factory, "only the factory");
        token0 = token0_;
        token1 = token1_;
    }

    function getReserves() external view returns (uint112 _reserve0, uint112 _reserve1, uint32 _blockTimestampLast) {
        return (reserve0, reserve1, updatedAt);
    }

    /// Shares for whatever has been sent here since the last sync.
    function mint(address to) external once returns (uint256 liquidity) {
        (uint256 has0, uint256 has1) = holds();
        uint256 amount0 = has0 - reserve0;
        uint256 amount1 = has1 - reserve1;
        if (totalSupply == 0) {
            liquidity = root(amount0 * amount1) - MINIMUM_LIQUIDITY;
            // Locked for ever, so that a share can never become so dear that nobody can buy one.
            issue(address(0), MINIMUM_LIQUIDITY);
        } else {
            liquidity = lesser((amount0 * totalSupply) / reserve0, (amount1 * totalSupply) / reserve1);
        }
        require(liquidity > 0, "too little liquidity");
        issue(to, liquidity);
        settle(has0, has1);
        emit Mint(msg.sender, amount0, amount1);
    }

    /// Pays out the shares that have been sent here.
    function burn(address to) external once returns (uint256 amount0, uint256 amount1) {
        (uint256 has0, uint256 has1) = holds();
        uint256 liquidity = balanceOf[address(this)];
        amount0 = (liquidity * has0) / totalSupply;
        amount1 = (liquidity * has1) / totalSupply;
        require(amount0 > 0 && amount1 > 0, "too little liquidity");
        destroy(address(this), liquidity);
        Ledger(token0).transfer(to, amount0);
        Ledger(token1).transfer(to, amount1);
        (has0, has1) = holds();
        settle(has0, has1);
        emit Burn(msg.sender, amount0, amount1, to);
    }

    /// Pays first, and then insists on having been paid enough.
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external once {
        require(amount0Out > 0 || amount1Out > 0, "nothing to pay out");
        require(amount0Out < reserve0 && amount1Out < reserve1, "too little liquidity");
        if (amount0Out > 0) Ledger(token0).transfer(to, amount0Out);
        if (amount1Out > 0) Ledger(token1).transfer(to, amount1Out);
        if (data.length > 0) IFlashBorrower(to).uniswapV2Call(msg.sender, amount0Out, amount1Out, data);
        (uint256 has0, uint256 has1) = holds();
        uint256 amount0In = excess(has0, reserve0 - amount0Out);
        uint256 amount1In = excess(has1, reserve1 - amount1Out);
        require(amount0In > 0 || amount1In > 0, "nothing paid in");
        uint256 product = (has0 * 1000 - amount0In * 3) * (has1 * 1000 - amount1In * 3);
        require(product >= uint256(reserve0) * reserve1 * 1_000_000, "paid too little");
        settle(has0, has1);
        emit Swap(msg.sender, amount0In, amount1In, amount0Out, amount1Out, to);
    }

    function skim(address to) external once {
        (uint256 has0, uint256 has1) = holds();
        Ledger(token0).transfer(to, has0 - reserve0);
        Ledger(token1).transfer(to, has1 - reserve1);
    }

    function sync() external once {
        (uint256 has0, uint256 has1) = holds();
        settle(has0, has1);
    }

    function holds() private view returns (uint256, uint256) {
        return (Ledger(token0).balanceOf(address(this)), Ledger(token1).balanceOf(address(this)));
    }

    function settle(uint256 has0, uint256 has1) private {
        require(has0 <= type(uint112).max && has1 <= type(uint112).max, "too much liquidity");
        reserve0 = uint112(has0);
        reserve1 = uint112(has1);
        updatedAt = uint32(block.timestamp);
        emit Sync(reserve0, reserve1);
    }

    function excess(uint256 value, uint256 over) private pure returns (uint256) {
        return value > over ? value - over : 0;
    }

    function lesser(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    /// Newton's method; each guess above the root falls towards it.
    function root(uint256 value) private pure returns (uint256 guess) {
        guess = value;
        for (uint256 next = value / 2 + 1; next < guess; next = (value / next + next) / 2) guess = next;
    }
}

contract DemoFactory {
    mapping(address => mapping(address => address)) public getPair;
    address[] public allPairs;

    event PairCreated(address indexed token0, address indexed token1, address pair, uint256);

    function allPairsLength() external view returns (uint256) {
        return allPairs.length;
    }

    function createPair(address tokenA, address tokenB) external returns (address pair) {
        require(tokenA != tokenB, "one token");
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        require(token0 != address(0), "no token");
        require(getPair[token0][token1] == address(0), "the pair is there");
        DemoPair created = new DemoPair{salt: keccak256(abi.encodePacked(token0, token1))}();
        created.initialize(token0, token1);
        pair = address(created);
        getPair[token0][token1] = pair;
        getPair[token1][token0] = pair;
        allPairs.push(pair);
        emit PairCreated(token0, token1, pair, allPairs.length);
    }
}

/// What an account without a contract of its own needs to trade safely: paying and being paid in one transaction.
contract DemoRouter {
    DemoFactory public immutable factory;

    constructor(DemoFactory factory_) {
        factory = factory_;
    }

    /// Along `path`, as many pools as it takes.
    function swap(uint256 amountIn, uint256 amountOutMin, address[] calldata path, address to) external {
        DemoPair pair = pairOf(path[0], path[1]);
        Ledger(path[0]).transferFrom(msg.sender, address(pair), amountIn);
        uint256 amount = amountIn;
        for (uint256 i = 0; i + 1 < path.length; i++) {
            bool last = i + 2 == path.length;
            DemoPair next = last ? pair : pairOf(path[i + 1], path[i + 2]);
            amount = pay(pair, path[i], amount, last ? to : address(next));
            pair = next;
        }
        require(amount >= amountOutMin, "the price moved");
    }

    /// As much of both as fits the pool's price; makes the pool if there is none.
    function addLiquidity(address tokenA, address tokenB, uint256 desiredA, uint256 desiredB, address to) external {
        address found = factory.getPair(tokenA, tokenB);
        DemoPair pair = DemoPair(found == address(0) ? factory.createPair(tokenA, tokenB) : found);
        (uint256 reserveA, uint256 reserveB) = reserves(pair, tokenA);
        (uint256 amountA, uint256 amountB) = (desiredA, desiredB);
        if (reserveA > 0) {
            amountB = (desiredA * reserveB) / reserveA;
            if (amountB > desiredB) (amountA, amountB) = ((desiredB * reserveA) / reserveB, desiredB);
        }
        Ledger(tokenA).transferFrom(msg.sender, address(pair), amountA);
        Ledger(tokenB).transferFrom(msg.sender, address(pair), amountB);
        pair.mint(to);
    }

    function removeLiquidity(address tokenA, address tokenB, uint256 liquidity, address to) external {
        DemoPair pair = pairOf(tokenA, tokenB);
        pair.transferFrom(msg.sender, address(pair), liquidity);
        pair.burn(to);
    }

    /// Balances, and what this router may spend of them: one question for many accounts.
    function holdings(
        address[] calldata tokens,
        address[] calldata owners
    ) external view returns (uint256[] memory balances, uint256[] memory allowances) {
        balances = new uint256[](tokens.length);
        allowances = new uint256[](tokens.length);
        for (uint256 i = 0; i < tokens.length; i++) {
            balances[i] = Ledger(tokens[i]).balanceOf(owners[i]);
            allowances[i] = Ledger(tokens[i]).allowance(owners[i], address(this));
        }
    }

    function pay(DemoPair pair, address tokenIn, uint256 amountIn, address to) private returns (uint256 amountOut) {
        (uint256 reserveIn, uint256 reserveOut) = reserves(pair, tokenIn);
        uint256 charged = amountIn * 997;
        amountOut = (charged * reserveOut) / (reserveIn * 1000 + charged);
        bool first = tokenIn == pair.token0();
        pair.swap(first ? 0 : amountOut, first ? amountOut : 0, to, "");
    }

    function reserves(DemoPair pair, address tokenA) private view returns (uint256, uint256) {
        (uint256 reserve0, uint256 reserve1, ) = pair.getReserves();
        return tokenA == pair.token0() ? (reserve0, reserve1) : (reserve1, reserve0);
    }

    function pairOf(address tokenA, address tokenB) private view returns (DemoPair) {
        address pair = factory.getPair(tokenA, tokenB);
        require(pair != address(0), "no such pair");
        return DemoPair(pair);
    }
}
