import { createRoot } from "react-dom/client"
import { App } from "./App.tsx"
import { openOffline } from "./chat/offline.ts"
import "./chat/theme.ts"

const root = document.getElementById("root")
if (root !== null) createRoot(root).render(<App />)
openOffline()
