/**
 * The WebSocket constructor of this platform: Node's own, or `ws` on Node 20, which has none.
 */

import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeWS from "@effect/platform-node/NodeWS"
import { Layer } from "effect"
import { WebSocketConstructor } from "effect/socket/Socket"

export const layer: Layer.Layer<WebSocketConstructor> =
  "WebSocket" in globalThis
    ? NodeSocket.layerWebSocketConstructor
    : Layer.succeed(WebSocketConstructor)(
        // `ws` has the same shape as the DOM's WebSocket where it is used here, but not the same type.
        (url) => new NodeWS.WebSocket(url) as unknown as globalThis.WebSocket
      )
