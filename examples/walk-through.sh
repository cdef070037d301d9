#!/bin/sh
# Two people chat, with nothing but curl: sh examples/walk-through.sh [URL]. Each run makes two new users.
set -eu
API=${1:-http://localhost:8080}/v1
n=$(date +%s)$$

post() { curl -fsS -H 'content-type: application/json' "$@"; }
# The first field of that name in an answer; a real program reads JSON.
field() { grep -o "\"$1\":\"[^\"]*\"" | head -1 | cut -d '"' -f 4; }

echo '# Register Ann and Bob, and log them in'
for name in ann bob; do
  post "$API/auth/register" -d "{\"email\":\"$name$n@example.com\",\"username\":\"$name$n\",\"displayName\":\"$name\",\"password\":\"correct horse\"}"
  echo
done
login() { post "$API/auth/login" -d "{\"login\":\"$1$n\",\"password\":\"correct horse\"}" | field accessToken; }
ANN=$(login ann)
BOB=$(login bob)
BOB_ID=$(curl -fsS "$API/users/me" -H "authorization: Bearer $BOB" | field id)

echo '# The direct conversation of the two: each pair has exactly one'
DM=$(post "$API/conversations" -H "authorization: Bearer $ANN" -d "{\"kind\":\"dm\",\"userId\":\"$BOB_ID\"}" | field id)
echo "$DM"

echo '# Ann writes; the same once more, as after a lost answer, is the same message'
send() { post "$API/conversations/$DM/messages" -H "authorization: Bearer $1" -d "$2"; }
send "$ANN" '{"clientMessageId":"first","body":"Hello Bob"}'
echo
send "$ANN" '{"clientMessageId":"first","body":"Hello Bob"}'
echo

echo '# Bob has one unread message, reads it and answers'
curl -fsS "$API/users/me/unread" -H "authorization: Bearer $BOB"
echo
curl -fsS -X PUT "$API/conversations/$DM/read" -H "authorization: Bearer $BOB" -H 'content-type: application/json' -d '{"seq":2}'
send "$BOB" '{"clientMessageId":"answer","body":"Hello Ann"}'
echo

echo '# The history, oldest first'
curl -fsS "$API/conversations/$DM/messages" -H "authorization: Bearer $ANN"
echo
