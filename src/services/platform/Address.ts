import { isIP } from "node:net"
import { Option, Result } from "effect"
import { IpNetwork, NetAddress } from "effect/net"

/** An IPv4 address without the prefix that a socket of both families writes before it; any other text as it is. */
const withoutMapping = (ip: string) => ip.replace(/^::ffff:(?=\d+\.)/i, "")

/** The network that an IP address (one of its own) or CIDR notation means; bits beyond the prefix do not matter. */
export const networkOf = (text: string) => {
  const [address = "", prefix] = text.split(/\/(?=\d+$)/)
  return Result.flatMap(NetAddress.ipFromString(address), (ip) =>
    IpNetwork.fromAddress(ip, Number(prefix ?? (isIP(address) === 4 ? 32 : 128)))
  )
}

/** An address as a proxy writes it: plain, in brackets, or with a port. */
const parse = (text: string): NetAddress.IpAddress | undefined => {
  const plain = text.trim()
  const ip = NetAddress.ipFromString(plain.replace(/^\[(.*)\]$/, "$1"))
  if (Result.isSuccess(ip)) return NetAddress.toCanonical(ip.success)
  const withPort = NetAddress.inetAddressFromString(plain)
  return Result.isSuccess(withPort) ? NetAddress.toCanonical(withPort.success.address) : undefined
}

/** The part of a request that says where it comes from. */
interface Origin {
  readonly remoteAddress: Option.Option<string>
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** Makes the function that says whether an address is that of a trusted proxy (`server.trusted_proxies`). */
export const isProxyOf = (trustedProxies: ReadonlyArray<string>) => {
  const networks = trustedProxies.map((text) => Result.getOrThrow(networkOf(text)))
  return (address: string): boolean => {
    if (networks.length === 0) return false
    const ip = parse(withoutMapping(address))
    return ip !== undefined && networks.some((network) => IpNetwork.contains(network, ip))
  }
}

/**
 * Makes the function that finds the address of a request: that of its connection, or, when that is a trusted proxy, the
 * last address in `X-Forwarded-For` that is not one. Whoever sent the request may have written everything further left,
 * so it counts for nothing. `trustedProxies` are addresses and networks (`server.trusted_proxies`).
 */
export const clientAddressOf = (trustedProxies: ReadonlyArray<string>) => {
  const networks = trustedProxies.map((text) => Result.getOrThrow(networkOf(text)))
  const isTrusted = (address: NetAddress.IpAddress) => networks.some((network) => IpNetwork.contains(network, address))

  return (request: Origin): string => {
    const peer = withoutMapping(Option.getOrElse(request.remoteAddress, () => "unknown"))
    if (networks.length === 0) return peer
    const own = parse(peer)
    if (own === undefined || !isTrusted(own)) return peer
    let nearest = own
    for (const hop of (request.headers["x-forwarded-for"] ?? "").split(",").reverse()) {
      const address = parse(hop)
      if (address === undefined) break
      nearest = address
      if (!isTrusted(address)) break
    }
    return NetAddress.formatIp(nearest)
  }
}

/** Makes the field of a log line that names the client. It is empty when `logging.client_address` is off. */
export const clientFieldOf =
  ({ clientAddress }: { readonly clientAddress: boolean }) =>
  (address: string): { readonly client?: string } =>
    clientAddress ? { client: address } : {}

/** What limits count as one address: an IPv4 address, or the /64 network of an IPv6 one, which a household gets. */
export const addressKey = (ip: string): string => {
  const plain = withoutMapping(ip)
  if (!plain.includes(":")) return plain
  const [head = "", tail] = plain.toLowerCase().split("::")
  const before = head === "" ? [] : head.split(":")
  const after = tail === undefined || tail === "" ? [] : tail.split(":")
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  const groups = [...before, ...Array.from({ length: zeros }, () => "0"), ...after]
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`
}
