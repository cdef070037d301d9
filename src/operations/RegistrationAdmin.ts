import { RegistrationChange, RegistrationState } from "../domain/Account.ts"
import { InvalidRequest, Unavailable } from "../domain/Problem.ts"
import { feature, operation } from "./Operation.ts"

/** The operations that open and close the registration of new accounts. */
export const RegistrationAdmin = feature(
  {},
  operation("admin.registration", {
    http: "GET /v1/server/admin/registration",
    success: RegistrationState,
    problems: [Unavailable],
    scope: "admin",
    summary: "Get who may register",
    description: "`chosen` is false while the setting `auth.registration` holds."
  }),
  operation("admin.setRegistration", {
    http: "PUT /v1/server/admin/registration",
    payload: RegistrationChange,
    problems: [InvalidRequest, Unavailable],
    scope: "admin",
    summary: "Open or close registration",
    description:
      "Holds on all nodes at once, and after a restart, in place of the setting `auth.registration`: `open` for everybody, `invite` for whoever has an invite into a group, `closed` for nobody. `null` lets the setting hold again."
  })
)
