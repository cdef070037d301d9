import { Context } from "effect"
import type { Principal } from "../domain/Session.ts"

/** Who makes this request, over whatever transport. */
export class CurrentPrincipal extends Context.Service<CurrentPrincipal, Principal>()(
  "chat/services/CurrentPrincipal"
) {}
