import { openConversation } from "./chat/route.ts"
import { ConversationPicker } from "./sidebar/ConversationPicker.tsx"
import { text } from "./text/text.ts"

/** Goes to a conversation by a part of its name. */
const QuickSwitcher = ({ onClose }: { readonly onClose: () => void }) => (
  <ConversationPicker title={text.keySwitch} onClose={onClose} onPick={({ id }) => openConversation(id)} />
)
export default QuickSwitcher
