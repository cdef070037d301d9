declare global {
  interface Window {
    /** Only some browsers have it. What it makes takes the place of a string. */
    readonly trustedTypes?: {
      readonly createPolicy: (
        name: string,
        rules: { readonly createScriptURL: (url: string) => string }
      ) => { readonly createScriptURL: (url: string) => string }
    }
  }
}

/** The name of the policy that the service allows for this alone. */
const policyName = "service-worker"

const register = async () => {
  const policy = window.trustedTypes?.createPolicy(policyName, { createScriptURL: (url) => url })
  const url = "/service-worker.js"
  await navigator.serviceWorker.register(policy?.createScriptURL(url) ?? url)
}

/** From the next time on, the page opens without a network. It waits until the page is loaded, and takes no part in it. */
export const openOffline = (): void => {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return
  // Without it, as in private windows of some browsers, the page works as long as there is a network.
  const start = () => void register().catch(() => {})
  // The page waits for the words of its language, and may be loaded by then.
  if (document.readyState === "complete") start()
  else addEventListener("load", start)
}
