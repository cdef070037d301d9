import { connect, type Socket as TcpSocket } from "node:net"
import { clientFrame, FrameReader } from "./Frames.ts"

const endOfHead = Buffer.from("\r\n\r\n")

/**
 * A WebSocket client on a bare TCP socket. It does as little as possible, because it shares the processors with the
 * server that it measures.
 */
export class Socket {
  /** Called with each text. Set it before the next tick, and again once the greeting is over. */
  onText: (text: string) => void = () => {}
  private readonly tcp: TcpSocket
  private readonly reader = new FrameReader()
  private readonly onFailure: (error: Error) => void
  private closing = false

  private constructor(tcp: TcpSocket, onFailure: (error: Error) => void) {
    this.tcp = tcp
    this.onFailure = onFailure
    tcp.on("error", (error) => this.fail(error.message))
    tcp.on("close", () => this.fail("the server ended the connection"))
  }

  /** Resolves when the server has upgraded the connection; `onFailure` is called when it ends, unless we closed it. */
  static open(url: string, path: string, onFailure: (error: Error) => void): Promise<Socket> {
    const { hostname, port } = new URL(url)
    const tcp = connect({ host: hostname, port: Number(port), noDelay: true })
    const socket = new Socket(tcp, onFailure)
    tcp.write(
      `GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16, 7).toString("base64")}\r\n\r\n`
    )
    return socket.upgraded()
  }

  send(text: string): void {
    this.tcp.write(clientFrame(text))
  }

  close(): void {
    this.closing = true
    this.tcp.destroy()
  }

  private upgraded(): Promise<this> {
    return new Promise((resolve) => {
      let head: Buffer = Buffer.alloc(0)
      const onHead = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf(endOfHead)
        if (end < 0) return
        this.tcp.off("data", onHead)
        const status = head.toString("latin1", 0, head.indexOf("\r\n"))
        if (!status.startsWith("HTTP/1.1 101")) return this.fail(`no upgrade: ${status}`)
        this.tcp.on("data", (bytes) => this.take(bytes))
        setImmediate(() => this.take(head.subarray(end + endOfHead.length)))
        resolve(this)
      }
      this.tcp.on("data", onHead)
    })
  }

  private take(bytes: Buffer): void {
    try {
      this.reader.read(
        bytes,
        (text) => this.onText(text),
        (opcode, payload) => {
          if (opcode === 8) this.fail(`closed with ${payload.length < 2 ? 1005 : payload.readUInt16BE(0)}`)
        }
      )
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error))
    }
  }

  private fail(reason: string): void {
    if (!this.closing) this.onFailure(new Error(reason))
  }
}
