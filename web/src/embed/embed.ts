import { openWidget } from "../../../examples/browser/widget.ts"

const place = document.getElementById("chat")
const form = document.querySelector("form")
let close = () => {}

form?.addEventListener("submit", (event) => {
  event.preventDefault()
  if (place === null) return
  const data = new FormData(form)
  close()
  place.hidden = false
  close = openWidget(place, {
    url: location.origin,
    conversationId: String(data.get("conversationId")).trim(),
    token: () => Promise.resolve(String(data.get("token")).trim())
  })
})
