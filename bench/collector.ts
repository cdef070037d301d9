import { createServer } from "node:http"

/** A collector of traces that accepts all requests and stores nothing. */
const server = createServer((request, response) => {
  request.resume()
  request.on("end", () => response.writeHead(200).end())
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  process.stdout.write(`${JSON.stringify({ message: "listening", url: `http://127.0.0.1:${port}` })}\n`)
})
process.on("SIGTERM", () => process.exit(0))
