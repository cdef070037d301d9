import { nkeys } from "@nats-io/transport-node"

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** Makes a token in the format of NATS: the statements of `signer` about the holder of `sub`. */
const token = (signer: nkeys.KeyPair, sub: string, nats: object) => {
  const claims = { jti: "test", iat: 1_700_000_000, iss: signer.getPublicKey(), sub, name: "test", nats }
  const signed = `${encode({ typ: "JWT", alg: "ed25519-nkey" })}.${encode(claims)}`
  return `${signed}.${Buffer.from(signer.sign(new TextEncoder().encode(signed))).toString("base64url")}`
}

/** The configuration of a NATS server whose users sign in with tokens, and the content of a user's credentials file. */
export const makeNatsUser = () => {
  const [operator, account, user] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createUser()]
  const limits = { subs: -1, data: -1, payload: -1 }
  const accountLimits = { ...limits, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 }
  const operatorToken = token(operator, operator.getPublicKey(), { type: "operator", version: 2 })
  const accountToken = token(operator, account.getPublicKey(), { type: "account", version: 2, limits: accountLimits })
  const userToken = token(account, user.getPublicKey(), { type: "user", version: 2, pub: {}, sub: {}, ...limits })
  return {
    config: `operator: ${operatorToken}\nresolver: MEMORY\nresolver_preload: { ${account.getPublicKey()}: ${accountToken} }\n`,
    credentials: [
      "-----BEGIN NATS USER JWT-----",
      userToken,
      "------END NATS USER JWT------",
      "",
      "-----BEGIN USER NKEY SEED-----",
      text(user.getSeed()),
      "------END USER NKEY SEED------",
      ""
    ].join("\n")
  }
}
