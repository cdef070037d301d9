import { Option, Result } from "effect"
import type { HttpServerRequest } from "effect/http"
import { IpNetwork, NetAddress } from "effect/net"
import { networkOf } from "../services/SettingFields.ts"

/** An address as a proxy writes it: plain, in brackets, or with a port. */
const parse = (text: string): NetAddress.IpAddress | undefined => {
  const plain = text.trim()
  const ip = NetAddress.ipFromString(plain.replace(/^\[(.*)\]$/, "$1"))
  if (Result.isSuccess(ip)) return NetAddress.toCanonical(ip.success)
  const withPort = NetAddress.inetAddressFromString(plain)
  return Result.isSuccess(withPort) ? NetAddress.toCanonical(withPort.success.address) : undefined
}

/**
 * Says from which address a request comes: that of its connection, or, when that is a trusted proxy's, the last one in
 * `X-Forwarded-For` that is not. Everything further left was written by whoever sent the request and counts for nothing.
 * `trustedProxies` are addresses and networks (`server.trusted_proxies`).
 */
export const clientAddressOf = (trustedProxies: ReadonlyArray<string>) => {
  const networks = trustedProxies.map((text) => Result.getOrThrow(networkOf(text)))
  const isTrusted = (address: NetAddress.IpAddress) => networks.some((network) => IpNetwork.contains(network, address))

  return (request: HttpServerRequest.HttpServerRequest): string => {
    const peer = Option.getOrElse(request.remoteAddress, () => "unknown").replace(/^::ffff:(?=\d+\.)/i, "")
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
