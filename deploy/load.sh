#!/usr/bin/env bash
# Sends requests to all of the backend's endpoints, with the errors that clients
# make, until ^C:
#
#   ./load.sh [RPS] [URL]     20 requests a second to http://localhost:8000
#
# It needs bash (3.2 or later) and curl. Each request is due at a time counted
# from the start, so that the rate neither drifts nor falls behind slow answers.
# LOAD_SECONDS ends it after so many seconds.
set -u

rps=${1:-20}
url=${2:-${URL:-http://localhost:${BACKEND_PORT:-8000}}}
url=${url%/}
seconds=${LOAD_SECONDS:-0}
case $rps in '' | *[!0-9]* | 0*) echo "load.sh: RPS is \"$rps\": want a whole number from 1" >&2; exit 2 ;; esac
command -v curl >/dev/null || { echo "load.sh: curl is not installed" >&2; exit 2; }
# Requests under way at once: a server that hangs must not fill this machine.
most=$((rps * 10 + 20))

sent=0 skipped=0
begin=$SECONDS

finish() {
	trap - INT TERM
	running=$(jobs -p)
	[ -z "$running" ] || kill $running 2>/dev/null
	wait 2>/dev/null
	took=$((SECONDS - begin))
	echo
	echo "$sent requests in $took s$([ $skipped -eq 0 ] || echo "; $skipped left out, as $most were waiting for an answer")"
	exit 0
}
trap finish INT TERM

# send METHOD PATH [JSON]
send() {
	if [ $# -gt 2 ]; then
		curl -s -o /dev/null -m 15 -A load.sh -X "$1" -H 'Content-Type: application/json' -d "$3" "$url$2" &
	else
		curl -s -o /dev/null -m 15 -A load.sh -X "$1" "$url$2" &
	fi
}

# request N sends the N-th request. Of a hundred, each kind of request has its
# share; the ids follow those that earlier requests have made.
request() {
	local id=$(($1 / 100 + 1)) recent=$((RANDOM % ($1 / 14 + 3) + 1))
	case $((($1 * 37) % 100)) in
	[0-9]) send GET / ;;
	1[0-9] | 2[0-2]) send GET "/api/items?limit=$((RANDOM % 20 + 1))" ;;
	2[3-9] | 3[0-4]) send GET "/api/items/$((RANDOM % 3 + 1))" ;;
	3[5-9]) send GET "/api/items/$recent" ;;
	4[0-6]) send POST /api/items "{\"name\":\"Item $1\",\"description\":\"Made by load.sh\",\"price\":$((RANDOM % 90 + 10)).5}" ;;
	47) send POST /api/items '{"name":"","price":-1}' ;;
	48) send POST /api/items '{"name":' ;;
	49 | 50) send PUT "/api/items/$((RANDOM % 3 + 1))" '{"name":"Lamp","description":"Gives more light.","price":29.9}' ;;
	51 | 52) send PATCH "/api/items/$((RANDOM % 3 + 1))" "{\"price\":$((RANDOM % 90 + 10))}" ;;
	53 | 54) send DELETE "/api/items/$((id + 3))" ;;
	55) send GET /api/items/999999 ;;
	56) send GET /api/items/none ;;
	5[7-9] | 6[0-3]) send POST /api/orders "{\"item_id\":$((RANDOM % 3 + 1)),\"quantity\":$((RANDOM % 5 + 1))}" ;;
	64) send POST /api/orders '{"item_id":999999,"quantity":1}' ;;
	65) send POST /api/orders '{"quantity":0}' ;;
	6[6-9]) send GET "/api/orders/$recent" ;;
	70 | 71) send DELETE "/api/orders/$id" ;;
	7[2-9]) send GET /api/random ;;
	8[0-4]) send GET /api/cpu ;;
	8[5-7]) send GET /api/slow ;;
	88) send GET /api/very-slow ;;
	89 | 90) send GET /api/bad-request ;;
	91 | 92) send GET /api/server-error ;;
	93) send GET /api/exception ;;
	94) send GET /no/such/page ;;
	95) send GET /docs ;;
	98) send GET /docs/openapi.json ;;
	96) send GET /health ;;
	97) send GET /metrics ;;
	*) send GET /api/items ;;
	esac
}

echo "$rps requests a second to $url; ^C ends it"
curl -s -o /dev/null -m 5 "$url/health" || echo "load.sh: $url does not answer yet" >&2

# In each turn of the loop, as many requests as are due by now. bash 3.2 has no
# clock but whole seconds, so a turn is a second's share that sleep paces, and
# what a turn sent too few or too many is made up in the next.
share=5 # turns in a second
turn=0
while :; do
	elapsed=$((SECONDS - begin))
	[ "$seconds" -eq 0 ] || [ $elapsed -lt "$seconds" ] || finish
	# The time that has passed for certain, and what the turns since then say.
	if [ $((turn / share)) -lt $elapsed ]; then
		turn=$((elapsed * share))
	elif [ $((turn / share)) -gt $((elapsed + 1)) ]; then
		turn=$(((elapsed + 1) * share))
	fi
	due=$((rps * (turn + 1) / share))
	while [ $((sent + skipped)) -lt $due ]; do
		if [ "$(jobs -rp | wc -l)" -ge $most ]; then
			skipped=$((skipped + 1))
			continue
		fi
		request $sent
		sent=$((sent + 1))
	done
	turn=$((turn + 1))
	sleep 0.2
done
