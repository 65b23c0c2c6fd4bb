/**
 * The live feed over a WebSocket, for as long as the page is open: when the connection is lost, it is made again, at
 * once where the page comes back into view, otherwise with growing pauses.
 */

const firstPause = 500
const longestPause = 5000
/** Without a message for so long, the server is asked whether it is there; then it has as long again. */
const patience = 15_000

/** `on.message(object)` and `on.state("live" | "lost")` are called; nothing is ever thrown at them. */
export const connect = (on) => {
  let pause = firstPause
  let socket
  let retry
  let watch
  let asked = false

  const listen = () => {
    clearTimeout(watch)
    watch = setTimeout(() => {
      if (asked) return socket.close()
      asked = true
      if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}')
      listen()
    }, patience)
  }

  const open = () => {
    clearTimeout(retry)
    retry = undefined
    const mine = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`)
    socket = mine
    asked = false
    listen()
    mine.onmessage = ({ data }) => {
      asked = false
      listen()
      const message = JSON.parse(data)
      if (message.type === "welcome") {
        pause = firstPause
        on.state("live")
      }
      on.message(message)
    }
    mine.onclose = () => {
      if (socket !== mine) return
      clearTimeout(watch)
      on.state("lost")
      retry = setTimeout(open, pause * (0.75 + Math.random() / 2))
      pause = Math.min(longestPause, pause * 2)
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && retry !== undefined) open()
  })
  open()
}
